//! Reads indented PEM texts (RFC 7468), and diagnoses PEM texts that have lost their line breaks or
//! are in quotation marks.

use zeroize::Zeroizing;

const BYTE_ORDER_MARK: char = '\u{feff}';

const BEGIN: &str = "-----BEGIN ";

/// Why a PEM text no longer contains a readable block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemFlaw {
    /// The line breaks are escape sequences, as in environment variables and in JSON that was
    /// encoded twice.
    #[error("its line breaks are written as a backslash and an n: use real line breaks")]
    EscapedLineBreaks,
    /// The text has no line breaks, as after folding in YAML.
    #[error("its line breaks are missing: put the BEGIN and END markers on lines of their own")]
    NoLineBreaks,
    /// The text is in quotation marks, as in shell scripts.
    #[error("it is in quotation marks: remove them")]
    Quoted,
}

impl PemFlaw {
    /// Diagnoses a text without a readable block. Returns `None` if no known mistake explains the
    /// fault.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if !text.contains(BEGIN) {
            return None;
        }
        let begins_quoted = text.starts_with(['"', '\'', '`']);
        let begin_lines = text.lines().filter(|line| line.trim().starts_with(BEGIN));
        let has_own_line = begin_lines
            .clone()
            .any(|line| line.trim().ends_with("-----"))
            && !begin_lines.clone().any(|line| line.contains("-----END "));
        if text.contains("-----\\n") || text.contains("-----\\r\\n") {
            Some(Self::EscapedLineBreaks)
        } else if begins_quoted {
            Some(Self::Quoted)
        } else if !has_own_line {
            Some(Self::NoLineBreaks)
        } else {
            None
        }
    }
}

/// Returns a copy of the text without whitespace around its lines, without a byte order mark, and
/// with the label that RFC 7468 gives to certificates. Dropping the copy overwrites its memory.
#[must_use]
pub fn normalized_pem(pem: &str) -> Zeroizing<String> {
    let mut normalized = Zeroizing::new(String::with_capacity(pem.len().saturating_add(1)));
    for line in pem.trim_start_matches(BYTE_ORDER_MARK).lines() {
        normalized.push_str(match line.trim() {
            "-----BEGIN X509 CERTIFICATE-----" => "-----BEGIN CERTIFICATE-----",
            "-----END X509 CERTIFICATE-----" => "-----END CERTIFICATE-----",
            line => line,
        });
        normalized.push('\n');
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_mangled_text_is_diagnosed_and_other_texts_are_not() {
        for (name, text, flaw) in [
            ("as it should be", PEM.to_owned(), None),
            ("indented", PEM.replace('\n', "\n  "), None),
            ("with carriage returns", PEM.replace('\n', "\r\n"), None),
            ("with text before it", format!("Bag \\n \"Attributes\"\n{PEM}"), None),
            ("no PEM", "s3cr\\nt".to_owned(), None),
            ("nothing", String::new(), None),
            ("escaped", PEM.replace('\n', "\\n"), Some(PemFlaw::EscapedLineBreaks)),
            ("escaped CRLF", PEM.replace('\n', "\\r\\n"), Some(PemFlaw::EscapedLineBreaks)),
            (
                "escaped and quoted",
                format!("\"{}\"", PEM.replace('\n', "\\n")),
                Some(PemFlaw::EscapedLineBreaks),
            ),
            ("spaces", PEM.replace('\n', " "), Some(PemFlaw::NoLineBreaks)),
            ("joined", PEM.replace('\n', ""), Some(PemFlaw::NoLineBreaks)),
            ("quoted", format!("\"{PEM}\""), Some(PemFlaw::Quoted)),
            ("quoted by apostrophes", format!("'{PEM}'"), Some(PemFlaw::Quoted)),
            ("quoted after a mark", format!("\u{feff}\"{PEM}\""), Some(PemFlaw::Quoted)),
        ] {
            assert_eq!(PemFlaw::of(&text), flaw, "{name}");
        }
    }

    #[test]
    fn only_whitespace_around_lines_and_the_old_label_of_certificates_change() {
        for (name, text) in [
            ("plain", "-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----"),
            ("blanks", " -----BEGIN CERTIFICATE----- \n\tA B\r\n  -----END CERTIFICATE-----\n"),
            ("mark", "\u{feff}-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----\n"),
            ("old name", "-----BEGIN X509 CERTIFICATE-----\nA B\n-----END X509 CERTIFICATE-----\n"),
        ] {
            let expected = "-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----\n";
            let normalized = normalized_pem(text);
            assert_eq!(normalized.as_str(), expected, "{name}");
            assert_eq!(normalized.capacity(), text.len() + 1, "{name}: the copy never moves");
        }
    }
}
