//! Compares the public types with the tables of the core.

use std::collections::BTreeSet;

use manager::error::ErrorKind;
use oauth::{ClientAuthentication, RESERVED_PARAMETERS, SigningAlgorithm};

const TYPES: &str = include_str!("../../../index.d.ts");
const OPTIONS: &str = include_str!("../../../options.json");

/// Returns the words that start with `prefix`, between quotes or backticks.
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
fn the_reserved_parameters_are_those_of_the_public_types() {
    for parameter in RESERVED_PARAMETERS {
        assert!(TYPES.contains(&format!("`{parameter}`")), "{parameter}");
    }
}

#[test]
fn the_choices_are_those_of_the_options_table_and_of_the_public_types() {
    let table: Vec<serde_json::Value> = serde_json::from_str(OPTIONS).unwrap();
    let methods = ClientAuthentication::ALL.map(ClientAuthentication::as_str);
    let algorithms = [&SigningAlgorithm::OF_KEYS[..], &SigningAlgorithm::OF_SECRETS].concat();
    let algorithms: Vec<_> = algorithms.iter().map(|known| known.as_str()).collect();
    for (option, known) in
        [("clientAuthentication", &methods[..]), ("signingAlgorithm", &algorithms)]
    {
        let row = table.iter().find(|row| row["name"] == option).unwrap();
        let choices: Vec<_> = row["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
            .collect();
        assert_eq!(choices, known, "{option}");
        let head = format!("export type {} =", row["type"].as_str().unwrap());
        let (union, _) = TYPES.split_once(&head).unwrap().1.split_once(';').unwrap();
        let public: Vec<_> = union.split('\'').skip(1).step_by(2).collect();
        assert_eq!(public, known, "{option}");
    }
}
