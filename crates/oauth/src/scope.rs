//! The scope parameter (RFC 6749 §3.3).

/// One or more scope tokens, separated by single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// Parses a list of scope tokens. Returns `None` if the list is empty, if a token contains a
    /// character that RFC 6749 §3.3 forbids, or if the tokens are not separated by single spaces.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let is_scope = value.split(' ').all(is_scope_token);
        is_scope.then(|| Self(value.to_owned()))
    }

    /// Joins scope tokens. Returns `None` if the list is empty or an entry is not a scope token.
    #[must_use]
    pub fn from_list(tokens: &[String]) -> Option<Self> {
        let is_scope = !tokens.is_empty() && tokens.iter().all(|token| is_scope_token(token));
        is_scope.then(|| Self(tokens.join(" ")))
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
}
