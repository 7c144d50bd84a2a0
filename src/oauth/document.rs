//! JSON documents of strangers: read as an object, refused if they are nested deeper than anybody
//! needs, with every member that matters kept as it was written.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::ProtocolFault;

/// Deepest nesting of a document, in arrays and objects. Token responses need three or four.
const MAX_DEPTH: usize = 64;

/// Reads `body` as a JSON object. (serde would also take an array for a struct.)
pub(super) fn read_document<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ProtocolFault> {
    let text = str::from_utf8(body).map_err(|_| ProtocolFault::NotUtf8)?;
    if is_too_deep(body) {
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

fn is_too_deep(body: &[u8]) -> bool {
    let mut depth: usize = 0;
    let mut is_in_string = false;
    let mut is_escaped = false;
    for byte in body {
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

/// The string that `value` is, if it is one. Overwritten when dropped: a server may repeat secrets.
pub(super) fn string(value: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str(value.get()).ok().map(Zeroizing::new)
}
