//! The header `traceparent` (W3C Trace Context §3.2), which lets a server continue a trace.

use super::secret::HeaderSecret;

/// The name of the header.
pub const TRACE_PARENT: &str = "traceparent";

/// The lengths of the fields: version, trace id, parent id and flags.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];

/// A valid value of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(Box<str>);

impl TraceParent {
    /// Parses a value of version 00. Returns `None` for any other text.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
        let fields: Vec<_> = value.split('-').collect();
        let is_sound = fields.iter().map(|field| field.len()).eq(LENGTHS)
            && fields.iter().all(|field| field.bytes().all(is_hex))
            && matches!(fields[..], ["00", trace, parent, _] if !is_zero(trace) && !is_zero(parent));
        is_sound.then(|| Self(value.into()))
    }

    /// Returns the value as a header.
    #[must_use]
    pub fn header(&self) -> Option<HeaderSecret> {
        HeaderSecret::new(self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_of_version_0_with_both_ids_counts() {
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        for (value, is_sound) in [
            (format!("00-{trace}-{parent}-01"), true),
            (format!("00-{trace}-{parent}-00"), true),
            (format!("01-{trace}-{parent}-01"), false),
            (format!("00-{trace}-{parent}-01-more"), false),
            (format!("00-{trace}-{parent}"), false),
            (format!("00-{}-{parent}-01", trace.to_uppercase()), false),
            (format!("00-{}-{parent}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{trace}-{parent}-0\r"), false),
            (String::new(), false),
        ] {
            assert_eq!(TraceParent::parse(&value).is_some(), is_sound, "{value:?}");
        }
    }
}
