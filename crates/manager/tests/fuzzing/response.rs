//! The target for the answer parser. An input is a line with the status and the value of
//! `Retry-After`, and then the body. An input without such a line has the status 200.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use manager::config::{Config, Target};
use manager::error::{Error, ErrorKind};
use oauth::{
    Answer, AnswerError, ClientSecret, Lifetime, ProtocolFault, Redactor, TokenEndpoint,
    TokenResponse, read_answer,
};
use serde_json::Value;
use stand_ins::scripted::config;
use zeroize::Zeroizing;

use super::spelled::is_spelled_in;

/// The secret, which every encoding changes. Some answers in the corpus contain it.
const SECRET: &str = "s3cr3t +%/&=\"\\t";
const CLIENT: &str = "portal";
/// The longest message: two texts of at most 300 characters, and the manager's own words.
const LONGEST_MESSAGE: usize = 1_500;
const DAY: Duration = Duration::from_hours(24);
/// The end of the year 9999, the last year that an HTTP date can name.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let endpoint = "https://sso.example/realms/r/protocol/openid-connect/token?x=hidden";
    Config {
        target: Target::Endpoint(TokenEndpoint::parse(endpoint).unwrap()),
        ..config()
    }
});

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let secret = ClientSecret::new(SECRET.to_owned()).unwrap();
    Redactor::none().and_secret(CLIENT, &secret)
});

/// Reads one answer.
pub fn run(data: &[u8]) {
    let answer = answer(data);
    if let Some(retry_after) = answer.retry_after {
        let longest = Duration::from_secs(u32::MAX.into()).max(LAST_DATE);
        assert!(retry_after.from(SystemTime::UNIX_EPOCH) <= longest);
    }
    let read = read_answer(&answer, &REDACTOR, Duration::ZERO);
    let again = read_answer(&answer, &REDACTOR, Duration::ZERO);
    assert_eq!(format!("{read:?}"), format!("{again:?}"), "two reads of the same answer agree");
    let document = serde_json::from_slice::<Value>(&answer.body).ok();
    match read {
        Ok(response) => {
            assert!(matches!(answer.status, 200..=299));
            check_response(&response, document.as_ref());
        }
        Err(error) => {
            assert_eq!(error.status(), answer.status);
            check_class(&error, document.as_ref());
            check_texts(error);
        }
    }
}

fn answer(data: &[u8]) -> Answer {
    let mut parts = data.splitn(2, |&byte| byte == b'\n');
    let (head, body) = match (parts.next(), parts.next()) {
        (Some(head), Some(body)) => (head, body),
        _ => (&b"200"[..], data),
    };
    let head = String::from_utf8_lossy(head);
    let (status, retry_after) = head.split_once(' ').unwrap_or((&head, ""));
    let header = |name: &str| (name == "retry-after").then_some(retry_after);
    let status = status.parse().unwrap_or(200);
    Answer::new(status, header, Zeroizing::new(body.to_vec()))
}

/// Compares the response with the document that another JSON parser read, if that parser can read
/// the body.
fn check_response(response: &TokenResponse, document: Option<&Value>) {
    let token = response.token.expose();
    assert!(!token.is_empty());
    assert!(token.bytes().all(|byte| matches!(byte, b'!'..=b'~')));
    assert_eq!(format!("{:?}", response.token), "AccessToken(\"[redacted]\")");
    if let Lifetime::Granted(lifetime) = response.lifetime {
        assert!(lifetime >= Duration::from_secs(1) && lifetime <= DAY);
    }
    let Some(document) = document else { return };
    assert!(document.is_object());
    assert_eq!(document["access_token"], token);
    assert!(document["error"].is_null() || document["error"] == "");
    let token_type = &document["token_type"];
    let read = response.token_type.as_str();
    let is_same = |text: &str| text.eq_ignore_ascii_case(read);
    assert!(
        token_type
            .as_str()
            .map_or(token_type.is_null() && read == "Bearer", is_same)
    );
    assert_eq!(response.scope.as_deref(), document["scope"].as_str());
}

/// Checks that an error describes the answer correctly.
fn check_class(error: &AnswerError, document: Option<&Value>) {
    let is_passing = |code: &str| matches!(code, "temporarily_unavailable" | "server_error");
    match error {
        AnswerError::OAuth {
            status,
            error: code,
            ..
        } => {
            assert!(matches!(status, 400..=499) && !matches!(status, 404 | 405 | 408 | 429));
            assert!(!code.is_empty());
            assert_eq!(error.is_retryable(false), is_passing(code));
        }
        AnswerError::Http {
            status,
            error: code,
            ..
        } => {
            assert!(!matches!(status, 200..=399));
            let is_retryable = matches!(error.status(), 408 | 429 | 500..=599);
            let is_passing = code.as_deref().is_some_and(is_passing);
            assert_eq!(error.is_retryable(false), is_retryable || is_passing);
        }
        AnswerError::Protocol { status, fault, .. } => {
            assert!(matches!(status, 200..=399));
            assert_eq!(*fault == ProtocolFault::Redirect, *status >= 300);
            assert!(!error.is_retryable(false));
            if let Some(document) = document
                && *status < 300
                && *fault == ProtocolFault::NotAnObject
            {
                assert!(!document.is_object());
            }
        }
    }
}

/// Checks that the text of an error is short, printable and free of secrets.
fn check_texts(error: AnswerError) {
    let error = Error::from_answer(error, false, &CONFIG, CONFIG.target.url());
    assert!(matches!(error.kind(), ErrorKind::OAuth | ErrorKind::Http | ErrorKind::Protocol));
    let details = error.details();
    let parts = [&details.oauth_error, &details.oauth_error_description];
    for part in parts.into_iter().flatten() {
        assert!(part.chars().count() <= 300);
        check_text(part);
    }
    let message = &details.message;
    assert!(message.contains(&format!("status {}", details.status.unwrap())));
    assert!(message.chars().count() <= LONGEST_MESSAGE, "{}", message.len());
    check_text(message);
    assert!(!details.message.contains("hidden"), "the query of the endpoint is not shown");
}

fn check_text(text: &str) {
    assert!(text.chars().all(|char| matches!(char, ' '..='~' | '…')), "{text:?}");
    assert!(!is_spelled_in(SECRET, text), "{text:?}");
    assert!(!has_jwt(text), "{text:?}");
}

fn has_jwt(text: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(byte);
    text.match_indices("eyJ").any(|(at, start)| {
        text.bytes()
            .skip(at + start.len())
            .take_while(is_part)
            .count()
            >= 16
    })
}
