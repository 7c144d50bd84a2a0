//! Reads untrusted JSON as an object, as `JSON.parse` does, and keeps the source text of the
//! relevant members.
//!
//! The nesting depth is unlimited, because serde skips a value without recursion.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::ProtocolFault;

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

/// Reads `text` as a JSON object and returns its members with these names. A member that is `null`
/// counts as absent. Of several members with the same name, the last one counts.
pub(super) fn read_members<'a, const N: usize>(
    text: &'a str,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], ProtocolFault> {
    let blank = [' ', '\t', '\r', '\n'];
    if text.trim_start_matches(blank).starts_with('{') {
        let mut json = serde_json::Deserializer::from_str(text);
        let members = json.deserialize_map(Members(names));
        let members = members.and_then(|members| json.end().map(|()| members));
        return members.map_err(|_| ProtocolFault::NotJson);
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Err(ProtocolFault::NotAnObject),
        Err(_) => Err(ProtocolFault::NotJson),
    }
}

/// Reads the members with these names.
struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = [None; N];
        while let Some(index) = map.next_key_seed(Name(&self.0))? {
            match index.and_then(|index| members.get_mut(index)) {
                Some(member) => *member = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }
}

/// Reads the name of a member as its index in a list of names.
struct Name<'n>(&'n [&'static str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Whether `body` is one complete JSON object.
#[must_use]
pub fn is_json_object(body: &[u8]) -> bool {
    let mut copy = Zeroizing::default();
    read_members(decode(body, &mut copy), []).is_ok()
}

/// Returns the string in `value`, if the value is a string. Dropping the string overwrites its
/// memory, because a server may repeat secrets.
pub(super) fn string(value: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str(value.get()).ok().map(Zeroizing::new)
}
