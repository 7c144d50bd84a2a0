//! Holds the public types against the tables of the core.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use keycloak_token_manager::manager::config::{DEFAULT_EXPIRY_BUFFER, DEFAULT_REQUEST_TIMEOUT};
use keycloak_token_manager::manager::error::ErrorKind;
use keycloak_token_manager::oauth::RESERVED_PARAMETERS;

const TYPES: &str = include_str!("../index.d.ts");

/// The words between quotes or backticks that start with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    text.split(['\'', '`'])
        .filter(|word| word.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_error_codes_are_those_of_the_public_types() {
    let union = TYPES
        .split_once("export type KeycloakTokenErrorCode")
        .unwrap()
        .1;
    let public = words(
        union
            .split_once("export class")
            .map_or(union, |(own, _)| own),
        "ERR_",
    );
    let codes: BTreeSet<String> = ErrorKind::ALL.iter().map(|k| k.code().to_owned()).collect();
    assert_eq!(codes.len(), ErrorKind::ALL.len());
    assert_eq!(public, codes);
}

#[test]
fn the_defaults_and_reserved_parameters_are_those_of_the_public_types() {
    for (what, expected) in [
        ("buffer", format!("Integer ≥ 0, default {DEFAULT_EXPIRY_BUFFER}")),
        ("timeout", format!("Integer ≥ 1, default {DEFAULT_REQUEST_TIMEOUT}")),
    ] {
        assert!(TYPES.contains(&expected), "{what}: {expected}");
    }
    for parameter in RESERVED_PARAMETERS {
        assert!(TYPES.contains(&format!("`{parameter}`")), "{parameter}");
    }
}
