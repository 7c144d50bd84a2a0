//! The scope parameter (RFC 6749 §3.3).

/// The maximum length of a form field's value, in bytes. Keycloak silently ignores a field with a
/// longer value.
pub const MAX_PARAMETER: usize = 4_000;

/// One or more scope tokens, separated by single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Box<str>);

impl Scope {
    /// Parses a list of scope tokens. Returns `None` if the list is empty, if a token contains a
    /// character that RFC 6749 §3.3 forbids, if the tokens are not separated by single spaces, or
    /// if Keycloak would ignore the list because of its length.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Self::of(&value.split(' ').collect::<Vec<_>>())
    }

    /// Joins scope tokens. Returns `None` under the same conditions as [`Scope::parse`].
    #[must_use]
    pub fn from_list(tokens: &[String]) -> Option<Self> {
        Self::of(&tokens.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn of(tokens: &[&str]) -> Option<Self> {
        let is_scope = !tokens.is_empty() && tokens.iter().all(|token| is_scope_token(token));
        let scope = Self(tokens.join(" ").into());
        (is_scope && scope.0.len() <= MAX_PARAMETER).then_some(scope)
    }

    /// Returns the first token of this scope that the server did not grant. `granted` is the scope
    /// in the server's answer, which may name other tokens too, in any order.
    #[must_use]
    pub fn missing_in(&self, granted: &str) -> Option<&str> {
        let is_granted = |token: &&str| granted.split(' ').any(|granted| granted == *token);
        self.0.split(' ').find(|token| !is_granted(token))
    }

    /// Returns the value of the `scope` parameter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_scope_token(token: &str) -> bool {
    let is_scope_byte = |byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    !token.is_empty() && token.bytes().all(is_scope_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_is_tokens_between_single_spaces() {
        for (name, value, is_scope) in [
            ("one", "openid", true),
            ("two", "openid profile", true),
            ("edges of the ranges", "! # [ ] ~", true),
            ("URI", "https://api.example/read:all", true),
            ("empty", "", false),
            ("one space", " ", false),
            ("leading space", " openid", false),
            ("trailing space", "openid ", false),
            ("two spaces", "openid  profile", false),
            ("tab", "openid\tprofile", false),
            ("line feed", "openid\n", false),
            ("quote", "open\"id", false),
            ("backslash", "open\\id", false),
            ("delete", "openid\u{7f}", false),
            ("not ASCII", "openíd", false),
        ] {
            let scope = Scope::parse(value);
            assert_eq!(scope.is_some(), is_scope, "{name}");
            if let Some(scope) = scope {
                assert_eq!(scope.as_str(), value, "{name}");
            }
        }
    }

    #[test]
    fn list_is_of_single_tokens() {
        for (name, tokens, expected) in [
            ("one", &["openid"][..], Some("openid")),
            ("two", &["openid", "profile"], Some("openid profile")),
            ("in the given order", &["b", "a"], Some("b a")),
            ("none", &[], None),
            ("an empty one", &["openid", ""], None),
            ("two in one", &["openid profile"], None),
            ("a bad one", &["open\"id"], None),
        ] {
            let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
            let scope = Scope::from_list(&tokens);
            assert_eq!(scope.as_ref().map(Scope::as_str), expected, "{name}");
        }
    }

    #[test]
    fn a_scope_that_keycloak_would_ignore_is_no_scope() {
        for (length, is_scope) in [(MAX_PARAMETER, true), (MAX_PARAMETER + 1, false)] {
            assert_eq!(Scope::parse(&"a".repeat(length)).is_some(), is_scope, "{length}");
        }
    }

    #[test]
    fn a_granted_scope_may_name_more_than_the_requested_one() {
        for (granted, missing) in
            [("b email a", None), ("a ab", Some("b")), ("", Some("a")), ("A B", Some("a"))]
        {
            assert_eq!(Scope::parse("a b").unwrap().missing_in(granted), missing, "{granted}");
        }
    }
}
