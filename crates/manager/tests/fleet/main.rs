//! Fleets that share a store, in simulated time. `FLEET_LONG=1` runs every size, `--nocapture`
//! prints the figures, and `FIGURES=<folder>` writes the figures for all sizes to that folder, for
//! `bench/fleet.js`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::{env, fs, path::Path};

use serde_json::{Value, json};

mod simulation;

use simulation::{DAY, Fleet, HOUR, MINUTE, Outcome, SECOND, Scenario};

/// A fleet with more managers than this simulates less than a day, but at least an hour.
const MOST_MANAGER_DAYS: u64 = 3_000;
/// A fleet with more managers than this runs only without faults, because its simulation takes
/// minutes.
const MOST_WITH_FAULTS: u64 = 100_000;
/// How long the store and the server are down in a simulation with faults.
const STORE_OUTAGE: u64 = 10 * MINUTE;
const SERVER_OUTAGE: u64 = 5 * MINUTE;
/// The share of a day for which callers may wait: enough for each manager's first token.
const SHORT_WAIT: f64 = 1e-5;

/// Runs a scenario, and prints its figures.
fn run(name: &str, scenario: Scenario) -> Outcome {
    let (replicas, keys) = (scenario.replicas, scenario.keys);
    let hours = hours(scenario.length);
    let outcome = Fleet::run(scenario, 1);
    println!(
        "{name:36} | {replicas:4} replicas | {keys:4} keys | {hours:4.1} h | {:8} logins | {:5} in \
         the busiest minute | waiting {:.6} | stale {:.5}",
        outcome.logins, outcome.busiest_minute, outcome.waiting, outcome.stale
    );
    outcome
}

fn hours(length: u64) -> f64 {
    length as f64 / HOUR as f64
}

fn is_long() -> bool {
    env::var_os("FLEET_LONG").is_some()
}

/// Returns pairs of a number of replicas and a number of keys.
fn sizes() -> Vec<(usize, usize)> {
    if !is_long() {
        return vec![(2, 1), (10, 1), (10, 10), (100, 1), (1_000, 1)];
    }
    let numbers = [1, 10, 100, 1_000];
    let sizes = numbers.map(|keys| numbers.map(|replicas| (replicas, keys)));
    sizes.as_flattened().to_vec()
}

/// Returns the scenario with all faults: restarts, an outage of the store, an outage of the server.
fn with_faults(calm: &Scenario) -> Scenario {
    let quarter = calm.length / 4;
    Scenario {
        restarts: vec![quarter],
        store_outage: 2 * quarter..2 * quarter + STORE_OUTAGE,
        server_outage: 3 * quarter..3 * quarter + SERVER_OUTAGE,
        ..calm.clone()
    }
}

fn row(scenario: &Scenario, outcome: &Outcome) -> Value {
    json!({
        "replicas": scenario.replicas,
        "keys": scenario.keys,
        "hours": hours(scenario.length),
        "logins": outcome.logins,
        "busiestMinute": outcome.busiest_minute,
        "waiting": outcome.waiting,
        "stale": outcome.stale,
    })
}

#[test]
fn a_fleet_of_any_size_logs_in_about_as_often_as_one_replica() {
    let (mut shared_rows, mut faulty_rows, mut alone_rows) = (Vec::new(), Vec::new(), Vec::new());
    for (replicas, keys) in sizes() {
        let managers = (replicas * keys) as u64;
        let calm = Scenario {
            replicas,
            keys,
            length: (DAY / managers.div_ceil(MOST_MANAGER_DAYS)).max(HOUR),
            ..Scenario::default()
        };
        let one = Fleet::run(
            Scenario {
                replicas: 1,
                ..calm.clone()
            },
            1,
        );
        let shared = run("shared", calm.clone());
        let ratio = shared.logins as f64 / one.logins as f64;
        println!("{replicas} replicas, {keys} keys: {ratio:.3} times the logins of one replica");
        assert!(ratio <= 1.2, "{replicas} replicas, {keys} keys: {ratio}");
        let most = SHORT_WAIT * DAY as f64 / calm.length as f64;
        assert!(shared.waiting < most, "{replicas} replicas, {keys} keys: {shared:?}");
        shared_rows.push(row(&calm, &shared));

        if managers == 100 || (is_long() && managers <= MOST_WITH_FAULTS) {
            let faulty = with_faults(&calm);
            let outcome = run("with faults", faulty.clone());
            // Each replica logs in on its own while the store is down, and again when the server is
            // back.
            let more = outcome.logins.saturating_sub(shared.logins);
            assert!(more <= 5 * managers, "{replicas} replicas, {keys} keys: {outcome:?}");
            let most = most + SERVER_OUTAGE as f64 / calm.length as f64;
            assert!(outcome.waiting < most, "{replicas} replicas, {keys} keys: {outcome:?}");
            faulty_rows.push(row(&faulty, &outcome));
        }
        if keys == 1 && (is_long() || replicas <= 100) {
            let alone = Scenario {
                shares: false,
                ..calm
            };
            let outcome = run("without a store", alone.clone());
            // Without a store, a manager refreshes a little later.
            let least = (one.logins * managers) as f64 * 0.95;
            assert!(outcome.logins as f64 > least, "{replicas} replicas: {outcome:?}");
            alone_rows.push(row(&alone, &outcome));
        }
    }
    if let Ok(folder) = env::var("FIGURES") {
        let life = Scenario::default().life / SECOND;
        let figures = json!({
            "lifeSeconds": life,
            "shared": shared_rows,
            "withFaults": faulty_rows,
            "withoutStore": alone_rows,
        });
        fs::write(Path::new(&folder).join("fleet.json"), figures.to_string()).expect("a folder");
    }
}

#[test]
fn ten_replicas_log_in_at_most_one_and_a_half_times_as_often_as_one_with_tokens_of_any_life() {
    for (life, most) in [(6, 1.5), (12, 1.3), (60, 1.2), (300, 1.2), (3_600, 1.2)] {
        let life_ms = life * SECOND;
        let shared = |replicas| Scenario {
            replicas,
            length: DAY.min(1_000 * life_ms),
            life: life_ms,
            // For a token that lives less than 8 s, the clock margin is a quarter of its life.
            clock_error: 2_000.min(life_ms.cast_signed() / 4),
            ..Scenario::default()
        };
        let [one, ten] = [1, 10].map(|replicas| run(&format!("{life} s"), shared(replicas)));
        let ratio = ten.logins as f64 / one.logins as f64;
        println!("tokens of {life} s: {ratio:.3} times the logins of one replica");
        assert!(ratio <= most, "tokens of {life} s: {ratio}");
    }
}

#[test]
fn replicas_that_start_at_once_log_in_until_the_first_token_is_in_the_store() {
    let replicas = 1_000;
    let at_once = run(
        "all start within a second",
        Scenario {
            replicas,
            length: HOUR,
            starts_at_once: true,
            ..Scenario::default()
        },
    );
    // The first token is in the store after 70 ms.
    assert!(at_once.busiest_minute <= replicas as u64 / 10, "{at_once:?}");
}

#[test]
fn a_replica_whose_clock_is_wrong_costs_the_others_few_logins() {
    let replicas = 20;
    let calm = run("no wrong clock", Scenario::of(replicas));
    for wrong_clock in [-3_600_000, -100_000, -10_000, 10_000, 100_000, 3_600_000] {
        let name = format!("a clock ahead by {wrong_clock} ms");
        let wrong = run(
            &name,
            Scenario {
                replicas,
                wrong_clock,
                ..Scenario::default()
            },
        );
        assert!(wrong.logins < 3 * calm.logins, "{name}: {wrong:?}");
        assert!(wrong.waiting < SHORT_WAIT, "{name}: {wrong:?}");
    }
}

#[test]
fn a_rolling_restart_costs_no_login() {
    for replicas in if is_long() { [10, 1_000] } else { [10, 100] } {
        let calm = run("no restart", Scenario::of(replicas));
        let restarts: Vec<_> = (1..20).map(|number| number * HOUR).collect();
        let count = restarts.len() as u64;
        let restarted = run(
            "19 rolling restarts",
            Scenario {
                replicas,
                restarts,
                ..Scenario::default()
            },
        );
        let more = restarted.logins.saturating_sub(calm.logins);
        assert!(more <= count, "{more} logins more with {replicas} replicas");
    }
}

#[test]
fn an_outage_of_the_store_costs_the_logins_of_the_replicas_and_nothing_after_it() {
    let replicas = 100;
    let calm = run("no outage", Scenario::of(replicas));
    let store_outage = 10 * HOUR..10 * HOUR + 10 * MINUTE;
    let outage = run(
        "the store is down for 10 min",
        Scenario {
            replicas,
            store_outage,
            ..Scenario::default()
        },
    );
    // Each replica needs about three tokens in ten minutes.
    let most = calm.logins + 4 * replicas as u64;
    assert!(outage.logins <= most, "{} instead of {}", outage.logins, calm.logins);
    assert!(outage.waiting < SHORT_WAIT, "{outage:?}");
    let lossy = run(
        "one of 100 calls is lost",
        Scenario {
            replicas,
            loss: 100,
            ..Scenario::default()
        },
    );
    assert!(lossy.waiting < SHORT_WAIT, "{lossy:?}");
}

#[test]
fn an_outage_of_the_server_uses_no_token_after_its_life() {
    let server_outage = 10 * HOUR..10 * HOUR + 20 * MINUTE;
    let replicas = if is_long() { 100 } else { 20 };
    for (name, life) in [("tokens of 300 s", 300), ("tokens of 60 s", 60), ("tokens of 12 s", 12)] {
        let scenario = Scenario {
            replicas,
            life: life * SECOND,
            server_outage: server_outage.clone(),
            restarts: vec![2 * HOUR, 10 * HOUR - MINUTE],
            ..Scenario::default()
        };
        let outcome = run(name, scenario);
        // The replicas wait only for the rest of the outage.
        assert!(outcome.waiting < 0.0145, "{outcome:?}");
    }
}
