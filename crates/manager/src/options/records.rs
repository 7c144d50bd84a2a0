//! The options that are records of strings: `parameters` and `headers`.

use super::{Given, Options, table};
use oauth::{ExtraHeaders, HeaderFault, HeaderSecret, RESERVED_PARAMETERS, header_value};

impl Options<'_> {
    pub(super) fn parameters(&mut self) -> Vec<(String, String)> {
        let given = self.record(table::PARAMETERS);
        let mut parameters = Vec::with_capacity(given.len());
        for (name, value) in given {
            if RESERVED_PARAMETERS.contains(&name.as_str()) {
                self.refuse_member(table::PARAMETERS, &name, "is a field that the manager sets");
                continue;
            }
            match value {
                Given::Text(text) => parameters.push((name, text.as_str().to_owned())),
                other => {
                    let member = member(table::PARAMETERS, &name);
                    self.faults.expected(&member, "a string", &other);
                }
            }
        }
        parameters
    }

    pub(super) fn headers(&mut self) -> ExtraHeaders {
        const EXPECTED: &str = "a non-empty string of printable ASCII characters without leading \
                                or trailing spaces";
        let given = self.record(table::HEADERS);
        let mut headers: Vec<(String, HeaderSecret)> = Vec::with_capacity(given.len());
        for (given_name, value) in given {
            let is_known = |name: &String| headers.iter().any(|(known, _)| known == name);
            let name = match ExtraHeaders::name(&given_name) {
                Ok(name) if is_known(&name) => Err(HeaderFault::Twice),
                other => other,
            };
            let name = match name {
                Ok(name) => name,
                Err(fault) => {
                    self.refuse_member(table::HEADERS, &given_name, &fault.to_string());
                    continue;
                }
            };
            let kind = value.describe();
            let value = match value {
                Given::Text(text) => header_value(text),
                _ => None,
            };
            if let Some(value) = value {
                headers.push((name, value));
            } else {
                let problem = format!("expected {EXPECTED}, got {kind}");
                self.faults
                    .push(&member(table::HEADERS, &given_name), &problem);
            }
        }
        ExtraHeaders::new(headers)
    }

    /// Takes the members of a record. An absent record has no members.
    fn record(&mut self, option: &str) -> Vec<(String, Given)> {
        match self.take(option) {
            None => Vec::new(),
            Some(Given::Record(record)) => record,
            Some(other) => {
                self.faults.expected(option, "an object of strings", &other);
                Vec::new()
            }
        }
    }

    fn refuse_member(&mut self, option: &str, name: &str, problem: &str) {
        let problem = format!("\"{}\" {problem}", name.escape_default());
        self.faults.push(option, &problem);
    }
}

/// Returns the name that messages give to a member of a record.
fn member(option: &str, name: &str) -> String {
    format!("{option}.{}", name.escape_default())
}
