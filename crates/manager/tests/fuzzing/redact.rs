//! The target for the redactor. The first line of an input is the seed of a secret. The second line
//! chooses the values to plant, their places and their spellings. The rest is the text in which the
//! target plants the values.
//!
//! Every planted value contains `Xq`, which is readable in every spelling. The text does not
//! contain `Xq`. Base64 hides the mark, so the redactor must not leave eight consecutive characters
//! of a planted Base64 value, unless they also occur elsewhere in the text.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use oauth::{ClientAuthentication, ClientProof, ClientSecret, Grant, Redactor, TokenEndpoint};

const CLIENT: &str = "my client";
const KEYS: [&str; 5] = ["client_secret", "access_token", "Assertion", "PASSWORD", "id_token"];
const SIGNS: [&str; 8] = ["=", ":", "%3D", "%3d", " = ", "\":", "\\\": ", "' : "];

/// The choices that an input makes. After the last byte of the input, every choice is zero.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Plants one to three secrets and cleans the text.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (seed, plan, text) = (part(), part(), part());
    let seed = String::from_utf8_lossy(seed);
    let mut text = String::from_utf8_lossy(text).replace('X', "Y");
    let mut choices = Choices(plan.iter());

    let core = marked(&seed);
    let around = choices.of(&["", "", "", " ", "\n", " \t"]);
    let secret = ClientSecret::new(format!("{around}{core}{around}")).unwrap();
    let redactor = Redactor::none().and_secret(CLIENT, &secret);
    let bare_length = text.len();
    let mut credentials = Vec::new();
    let mut knows_secret = false;
    for _ in 0..=choices.below(3) {
        let kind = choices.below(6);
        let planted = match kind {
            0 => spelled(&core, &mut choices),
            1 => spelled(&piece(&core, &mut choices), &mut choices),
            2 => sent_credentials(secret.expose()),
            3 => STANDARD.encode(format!("{CLIENT}:{}", secret.expose())),
            4 => jwt(&seed, &mut choices),
            _ => keyed(&seed, &mut choices),
        };
        knows_secret |= kind < 4;
        if matches!(kind, 2 | 3) {
            credentials.push(planted.clone());
        }
        let at = text.floor_char_boundary(choices.below(256) * (text.len() + 1) / 256);
        // A value planted inside another value would break the outer one.
        let at = if text.len() == bare_length {
            at
        } else {
            choices.of(&[0, text.len()])
        };
        text.insert_str(at, &planted);
    }
    // Moves the text over the end of the cleaned text, or of the part that the redactor examines.
    let end = choices.of(&[0, 0, Redactor::MAX_CLEANED, Redactor::WINDOW]);
    if end > 0 {
        let room = choices.below(256);
        // Zeros with a space after them are part of no planted value.
        text.insert(0, ' ');
        let examined = text[..text.floor_char_boundary(room)].to_owned();
        text.insert_str(0, &"0".repeat(end - room));
        if end == Redactor::WINDOW {
            let is_hidden = |text: &str| redactor.clean(text) == "[redacted]";
            assert_eq!(is_hidden(&text), is_hidden(&examined), "{examined:?} of {text:?}");
        }
    }
    check(&redactor.clean(&text), &text, &credentials);
    if !knows_secret {
        check(&Redactor::none().clean(&text), &text, &[]);
    }
}

fn check(cleaned: &str, text: &str, credentials: &[String]) {
    assert!(cleaned.chars().count() <= Redactor::MAX_CLEANED, "{text:?} gives {cleaned:?}");
    let printable = cleaned.strip_suffix('…').unwrap_or(cleaned);
    assert!(printable.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
    assert!(!cleaned.contains("Xq"), "{text:?} gives {cleaned:?}");
    for credentials in credentials {
        let unpadded = credentials.trim_end_matches('=');
        let others = text.replace(unpadded, " ");
        for at in 0..=unpadded.len().saturating_sub(8) {
            let fragment = unpadded.get(at..at + 8).unwrap_or(unpadded);
            let is_left = cleaned.contains(fragment) && !others.contains(fragment);
            assert!(!is_left, "{fragment} of {text:?} in {cleaned:?}");
        }
    }
}

/// Returns the seed with `Xq` after every character, and with a marked letter in front.
fn marked(seed: &str) -> String {
    let mut marked = "cXq".to_owned();
    for char in seed.chars().take(64) {
        marked.push(if char == 'X' { 'Y' } else { char });
        marked.push_str("Xq");
    }
    marked
}

/// Returns eight characters of a secret, which count as a leak, or the whole secret if it is
/// shorter.
fn piece(secret: &str, choices: &mut Choices) -> String {
    let chars: Vec<char> = secret.chars().collect();
    let from = choices.below(chars.len().saturating_sub(7).max(1));
    chars.into_iter().skip(from).take(8).collect()
}

/// Returns the secret, with a chosen spelling for each character outside the mark.
fn spelled(secret: &str, choices: &mut Choices) -> String {
    let mut text = String::new();
    for char in secret.chars() {
        if matches!(char, 'X' | 'q') {
            text.push(char);
            continue;
        }
        let mut bytes = [0; 4];
        let mut units = [0; 2];
        match choices.below(8) {
            0 if char == ' ' => text.push('+'),
            upper @ 1..=2 => {
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&cased(&format!("%{byte:02x}"), upper == 2));
                }
            }
            upper @ 3..=4 => {
                for unit in char.encode_utf16(&mut units).iter() {
                    text.push_str("\\u");
                    text.push_str(&cased(&format!("{unit:04x}"), upper == 4));
                }
            }
            5 if char.is_ascii_punctuation() => text.extend(['\\', char]),
            5 if char == '\t' => text.push_str("\\t"),
            5 if char == '\r' => text.push_str("\\r"),
            _ => text.push(char),
        }
    }
    text
}

fn cased(hex: &str, is_upper: bool) -> String {
    if is_upper {
        hex.to_ascii_uppercase()
    } else {
        hex.to_owned()
    }
}

fn sent_credentials(secret: &str) -> String {
    let grant = Grant::client_credentials(CLIENT.to_owned(), ClientAuthentication::SecretBasic);
    let endpoint = TokenEndpoint::parse("https://sso.example/").unwrap();
    let secret = Arc::new(ClientSecret::new(secret.to_owned()).unwrap());
    let request = grant.request(&endpoint, &ClientProof::SecretBasic(secret));
    let header = request.authorization.unwrap();
    header.strip_prefix("Basic ").unwrap().to_owned()
}

fn jwt(seed: &str, choices: &mut Choices) -> String {
    let mut text = "eyJ0123456789abcdefXq".to_owned();
    for char in seed.chars().filter(char::is_ascii_alphanumeric).take(64) {
        text.push_str(choices.of(&["", "", "", ".", "%2E", "-", "_"]));
        text.push(if char == 'X' { 'Y' } else { char });
        text.push_str("Xq");
    }
    text
}

fn keyed(seed: &str, choices: &mut Choices) -> String {
    let (key, sign) = (choices.of(&KEYS), choices.of(&SIGNS));
    let quote = choices.of(&["", "\"", "'", "\\\""]);
    // The opening quote decides where a value ends.
    let is_plain = |char: &char| match quote {
        "" => !char.is_whitespace() && !"&,;\"'<>()[]{}\\".contains(*char),
        _ => !"\"'\\".contains(*char),
    };
    let value: String = seed.chars().filter(is_plain).take(64).collect();
    format!("{key}{sign}{quote}{}{quote}", marked(&value))
}
