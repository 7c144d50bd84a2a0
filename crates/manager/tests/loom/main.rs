//! A manager with its flights and its timer, in every order that the memory model allows: the token
//! that a version represents, the effect of a drop after the call has returned, and the
//! notification of waiters.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p keycloak-manager --test loom`

#![cfg(loom)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::similar_names,
    clippy::unwrap_used,
    reason = "tests"
)]

mod events;
mod world;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicBool, Ordering};
use manager::slot::{Call, Clearing, FlightId, Invalidation, RouteId};
use manager::sync::spawn;
use manager::{Event, Reply};
use stand_ins::scripted::{config, function_config, secret};
use world::{LoomManager, LoomWorld, Outcome, model};

fn flight(reply: Reply) -> FlightId {
    match reply {
        Reply::Flight(flight) => flight,
        other => panic!("expected a flight, got {other:?}"),
    }
}

#[test]
fn a_version_always_represents_the_same_token() {
    model(|| {
        let world = LoomWorld::new(config(), Outcome::Token);
        flight(world.manager.ask(Call::Any));
        let other = {
            let manager = Arc::clone(&world.manager);
            spawn(move || {
                let _ = manager.clear();
                manager.ask(Call::Any)
            })
        };
        let mut replies = vec![world.manager.ask(Call::Forced), world.manager.ask(Call::Any)];
        replies.push(other.join().unwrap());
        world.flights.join();
        replies.push(world.manager.ask(Call::Any));
        let flight_ends = world.sink.flight_ends();
        let landed = flight_ends.iter().map(|(_, outcome, version)| {
            let token = outcome.result.as_ref();
            (*version, token.unwrap())
        });
        let replied = replies.iter().filter_map(|reply| match reply {
            Reply::Token(token, version) => Some((*version, token)),
            _ => None,
        });
        let mut tokens = HashMap::new();
        for (version, token) in landed.chain(replied).filter(|(version, _)| *version != 0) {
            let known = tokens.entry(version).or_insert(token);
            assert!(Arc::ptr_eq(known, token), "two tokens for one version");
        }
    });
}

type Drop = fn(&LoomManager) -> bool;

/// The ways to drop a token. Each function returns whether it dropped a token.
const DROPS: [(&str, Drop); 3] = [
    ("invalidate", |manager| manager.invalidate("token-1", RouteId(0)) == Invalidation::Dropped),
    ("clear", |manager| manager.clear() == Clearing::Dropped),
    ("close", |manager| {
        manager.close();
        true
    }),
];

#[test]
fn once_a_drop_has_returned_no_read_serves_the_token() {
    for (name, drop_token) in DROPS {
        model(move || {
            let world = LoomWorld::new(config(), Outcome::Token);
            let version = world.warm();
            let refresh = flight(world.manager.ask(Call::Forced));
            let is_over = Arc::new(AtomicBool::new(false));
            let dropping = {
                let (manager, is_over) = (Arc::clone(&world.manager), Arc::clone(&is_over));
                spawn(move || {
                    let was_dropped = drop_token(&manager);
                    is_over.store(true, Ordering::Release);
                    was_dropped
                })
            };
            // Meanwhile, a caller may get the token under another version, which the drop must end
            // as well.
            let mut versions = vec![version];
            let mut has_renewed = false;
            match world.manager.ask(Call::Any) {
                Reply::Token(token, version) if token.access_token.is("token-1") => {
                    versions.push(version)
                }
                Reply::Flight(flight) => has_renewed = flight != refresh,
                Reply::Token(..) | Reply::Failure(..) | Reply::EarlierFlight(_) => {}
            }
            let was_over = is_over.load(Ordering::Acquire);
            let serves = versions.contains(&world.manager.published().version());
            assert!(!(was_over && serves), "{name}: served after the drop");
            let was_dropped = dropping.join().unwrap();
            assert!(!versions.contains(&world.manager.published().version()), "{name}");
            world.flights.join();
            let version = world.manager.published().version();
            let flight_ends = world.sink.flight_ends();
            let kept = flight_ends.iter().find(|(.., outcome)| *outcome == version);
            let kept = kept.map(|(_, outcome, _)| outcome.result.as_ref().unwrap());
            // The manager never serves the token of a flight that began before the drop.
            match world.manager.ask(Call::Any) {
                Reply::Token(token, _) => {
                    assert!(!was_dropped || has_renewed, "{name}: a token after the drop");
                    assert!(!token.access_token.is("token-1"), "{name}");
                    assert!(kept.is_some_and(|kept| Arc::ptr_eq(kept, &token)), "{name}");
                }
                Reply::Flight(flight) | Reply::EarlierFlight(flight) => {
                    assert!(was_dropped && flight != refresh, "{name}");
                    assert!(kept.is_none(), "{name}: kept for a version that represents no token");
                }
                Reply::Failure(error, _) => {
                    assert_eq!((name, error.kind().code()), ("close", "ERR_KEYCLOAK_CLOSED"));
                }
            }
            world.flights.join();
        });
    }
}

type Incident = fn(LoomWorld) -> Option<LoomWorld>;

/// Incidents during a flight. Each function returns the world, unless the world has ended.
const INCIDENTS: [(&str, Incident); 5] = [
    ("clear", |world| {
        let _ = world.manager.clear();
        Some(world)
    }),
    ("a new secret", |mut world| {
        world.reconfigure(config());
        Some(world)
    }),
    ("a new client", |mut world| {
        let mut other = config();
        "other".clone_into(&mut other.grant.client_id);
        world.reconfigure(other);
        Some(world)
    }),
    ("close", |world| {
        world.manager.close();
        None
    }),
    ("drop", |world| {
        drop(world);
        None
    }),
];

#[test]
fn the_waiters_of_a_flight_are_notified_once_whatever_happens_to_it() {
    for outcome in [Outcome::Token, Outcome::Refusal, Outcome::Lost] {
        for (name, incident) in INCIDENTS {
            model(move || {
                let world = LoomWorld::new(config(), outcome);
                let (flights, sink) = (world.flights.clone(), Arc::clone(&world.sink));
                let first = flight(world.manager.ask(Call::Any));
                let world = incident(world);
                flights.join();
                let flight_ends = sink.flight_ends();
                let times = flight_ends
                    .iter()
                    .filter(|(flight, ..)| *flight == first)
                    .count();
                match &world {
                    Some(_) => assert_eq!(times, 1, "{name}, {outcome:?}"),
                    None => assert!(times <= 1, "{name}, {outcome:?}"),
                }
            });
        }
    }
}

#[test]
fn a_timer_and_a_caller_start_one_refresh_and_an_expired_token_is_not_served() {
    for (name, millis, is_over) in [("stale", 245_000, false), ("over", 300_000, true)] {
        model(move || {
            let world = LoomWorld::new(config(), Outcome::Token);
            let version = world.warm();
            world.manager.published().count_hit();
            world.clock.pass(Duration::from_millis(millis));
            let timer = world.fire_timers();
            let reply = world.manager.ask(Call::Any);
            let serves = world.manager.published().version() == version;
            assert!(!(is_over && serves), "{name}: served after it expired");
            timer.join().unwrap();
            world.flights.join();
            assert_eq!(world.transport.count(), 2, "{name}: one refresh");
            assert_eq!(matches!(reply, Reply::Flight(_)), is_over, "{name}");
            assert_eq!(world.sink.flight_ends().len(), 2, "{name}");
        });
    }
}

type Edit = fn(&mut LoomWorld);

/// Changes of the configuration before the event loop calls the secret function.
const EDITS: [(&str, Edit); 4] = [
    ("none", |_| {}),
    ("a secret instead of the function", |world| world.reconfigure(config())),
    ("another function", |world| world.reconfigure(function_config("portal"))),
    ("another client", |world| world.reconfigure(function_config("other"))),
];

#[test]
fn a_flight_whose_secret_function_is_no_longer_called_still_ends() {
    for (name, edit) in EDITS {
        model(move || {
            let (mut world, bell) =
                LoomWorld::with_queue(function_config("portal"), Outcome::Token);
            let first = flight(world.manager.ask(Call::Any));
            edit(&mut world);
            let mut flight_end = None;
            while flight_end.is_none() {
                bell.wait();
                for (is_former, event) in world.queue().drain() {
                    match event {
                        Event::SecretWanted(call) if !is_former => {
                            assert!(call.start());
                            call.settle(Ok(secret("s3cr+t")));
                        }
                        Event::FlightEnded {
                            flight, outcome, ..
                        } if flight == first => {
                            flight_end = Some((is_former, outcome));
                        }
                        _ => {}
                    }
                }
            }
            let (is_former, outcome) = flight_end.unwrap();
            assert_eq!(outcome.result.is_err(), is_former, "{name}");
            assert_eq!(is_former, name != "none", "{name}");
            world.manager.close();
            world.flights.join();
        });
    }
}
