//! The option kinds that need no code of their own. The rows of `options.json` name these kinds.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Given, Options};

/// The maximum number of seconds or milliseconds. The parser lowers larger numbers to this maximum,
/// which is about 49 days in milliseconds.
const LARGEST_NUMBER: f64 = u32::MAX as f64;

/// A non-empty string.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) name: &'static str,
    expected: &'static str,
}

impl Text {
    pub(super) const fn new(name: &'static str, expected: &'static str) -> Self {
        Self { name, expected }
    }
}

/// The path of a file.
#[derive(Clone, Copy)]
pub(super) struct FilePath {
    pub(super) name: &'static str,
}

impl FilePath {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

/// An integer with a minimum and a default.
#[derive(Clone, Copy)]
pub(super) struct Integer {
    name: &'static str,
    minimum: u32,
    default: u32,
}

impl Integer {
    pub(super) const fn new(name: &'static str, minimum: u32, default: u32) -> Self {
        Self {
            name,
            minimum,
            default,
        }
    }
}

/// A boolean with a default.
#[derive(Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    default: bool,
}

impl Flag {
    pub(super) const fn new(name: &'static str, default: bool) -> Self {
        Self { name, default }
    }
}

impl Options<'_> {
    pub(super) fn text(&mut self, option: Text) -> Option<Zeroizing<String>> {
        self.non_empty(option.name, option.expected)
    }

    pub(super) fn non_empty(&mut self, name: &str, expected: &str) -> Option<Zeroizing<String>> {
        match self.take(name)? {
            Given::Text(text) if !text.is_empty() => Some(text),
            other => {
                self.faults.expected(name, expected, &other);
                None
            }
        }
    }

    /// Returns the value that `parse` reads from a string.
    pub(super) fn parsed<V, F: fmt::Display>(
        &mut self,
        option: Text,
        parse: impl FnOnce(&str) -> Result<V, F>,
    ) -> Option<V> {
        let text = self.text(option)?;
        parse(&text)
            .map_err(|fault| self.faults.push(option.name, &format!("expected {fault}")))
            .ok()
    }

    pub(super) fn path(&mut self, FilePath { name }: FilePath) -> Option<PathBuf> {
        let text = self.non_empty(name, "a file path as a non-empty string")?;
        if text.contains('\0') {
            let problem = "expected a file path without a NUL character";
            self.faults.push(name, problem);
            return None;
        }
        Some(PathBuf::from(text.as_str()))
    }

    pub(super) fn flag(&mut self, Flag { name, default }: Flag) -> bool {
        match self.take(name) {
            None => default,
            Some(Given::Flag(flag)) => flag,
            Some(other) => {
                self.faults.expected(name, "a boolean", &other);
                default
            }
        }
    }

    pub(super) fn integer(&mut self, option: Integer) -> u32 {
        let Integer {
            name,
            minimum,
            default,
        } = option;
        match self.take(name) {
            None => default,
            Some(Given::Number(number))
                if number.is_finite() && number.fract() == 0.0 && number >= f64::from(minimum) =>
            {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an integer between zero and the largest u32"
                )]
                let integer = number.min(LARGEST_NUMBER) as u32;
                integer
            }
            Some(other) => {
                let expected = if minimum == 0 {
                    "a non-negative integer".to_owned()
                } else {
                    format!("an integer of at least {minimum}")
                };
                self.faults.expected(name, &expected, &other);
                default
            }
        }
    }
}
