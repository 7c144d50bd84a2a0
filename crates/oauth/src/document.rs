//! Reads untrusted JSON as an object, refuses JSON that is nested too deeply, and keeps the source
//! text of the relevant members.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::ProtocolFault;

/// The deepest nesting of arrays and objects. Token responses need three or four levels.
const MAX_DEPTH: usize = 64;

/// Decodes `body` as `fetch().text()` does: drops a byte order mark and replaces invalid UTF-8 with
/// replacement characters. If the body contains invalid UTF-8, `copy` receives the text.
pub(super) fn decode<'a>(body: &'a [u8], copy: &'a mut Zeroizing<String>) -> &'a str {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if let Ok(text) = str::from_utf8(body) {
        return text;
    }
    // A replacement character takes three bytes instead of one.
    copy.reserve_exact(body.len().saturating_mul(3));
    for chunk in body.utf8_chunks() {
        copy.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            copy.push(char::REPLACEMENT_CHARACTER);
        }
    }
    copy
}

/// Reads `text` as a JSON object. (serde would also accept an array for a struct.)
pub(super) fn read_document<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ProtocolFault> {
    if is_too_deep(text) {
        return Err(ProtocolFault::TooDeep);
    }
    let blank = [' ', '\t', '\r', '\n'];
    if text.trim_start_matches(blank).starts_with('{') {
        return serde_json::from_str(text).map_err(|_| ProtocolFault::NotJson);
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Err(ProtocolFault::NotAnObject),
        Err(_) => Err(ProtocolFault::NotJson),
    }
}

/// Whether `body` is one complete JSON object.
#[must_use]
pub fn is_json_object(body: &[u8]) -> bool {
    let mut copy = Zeroizing::default();
    read_document::<IgnoredAny>(decode(body, &mut copy)).is_ok()
}

fn is_too_deep(text: &str) -> bool {
    let mut depth: usize = 0;
    let mut is_in_string = false;
    let mut is_escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'{' | b'[' if !is_in_string => depth = depth.saturating_add(1),
            b'}' | b']' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Returns the string in `value`, if the value is a string. Dropping the string overwrites its
/// memory, because a server may repeat secrets.
pub(super) fn string(value: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str(value.get()).ok().map(Zeroizing::new)
}
