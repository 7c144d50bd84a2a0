//! Finds a secret in a text. The search shares no code with the redactor, so that it can check the
//! redactor.

/// Whether `text` contains `secret`, with each character in any spelling.
pub fn is_spelled_in(secret: &str, text: &str) -> bool {
    text.char_indices()
        .any(|(at, _)| begins_with(secret, &text[at..]))
}

fn begins_with(secret: &str, text: &str) -> bool {
    let Some(char) = secret.chars().next() else {
        return true;
    };
    let rest = &secret[char.len_utf8()..];
    spellings(char).iter().any(|spelling| {
        text.get(..spelling.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(spelling) && !start.starts_with("\\U"))
            && (spelling.len() > 1 || text.starts_with(spelling.as_str()))
            && begins_with(rest, &text[spelling.len()..])
    })
}

/// Returns every spelling of an ASCII character. Spellings that consist of several characters are
/// in lower case.
fn spellings(char: char) -> Vec<String> {
    let code = u32::from(char);
    let mut all = vec![char.to_string(), format!("%{code:02x}"), format!("\\u{code:04x}")];
    if char.is_ascii_punctuation() {
        all.push(format!("\\{char}"));
    }
    if char == ' ' {
        all.push("+".to_owned());
    }
    all
}
