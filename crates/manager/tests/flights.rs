//! Flights that lose their runtime, their client or their secret function, and a manager that
//! several threads use at once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use manager::Reply;
use manager::credential::SecretCall;
use manager::error::ErrorKind;
use manager::slot::{Call, Clearing, FlightId};
use parking_lot::Mutex;
use stand_ins::scripted::{config, function_config, secret, token_answer};
use stand_ins::simulated::World;

/// Longer than a machine under load takes for what needs no time.
const LIMIT: Duration = Duration::from_mins(1);

/// How often each thread calls. Miri is slow.
const ROUNDS: u32 = if cfg!(miri) { 20 } else { 400 };

#[test]
fn a_runtime_that_has_ended_fails_the_call_and_blocks_no_caller() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut world = runtime.block_on(async { World::new(20, |_, _| token_answer(300)) });
    drop(runtime);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let reply = world.manager.ask(Call::Any);
        let flight_end = world.flight_ends.try_recv();
        let _ = sender.send((reply, flight_end));
    });
    let (reply, flight_end) = receiver.recv_timeout(LIMIT).expect("no deadlock");
    let (Reply::Flight(flight), Ok((id, outcome, _))) = (reply, flight_end) else {
        panic!("a flight and its end");
    };
    assert_eq!(flight, id);
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn threads_that_ask_and_clear_concurrently_agree_on_the_token_of_a_version() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let mut world = runtime.block_on(async { World::new(0, |_, _| token_answer(300)) });
    let tokens = Mutex::new(HashMap::new());
    let waited_for = Mutex::new(BTreeSet::new());
    let use_manager = |thread: u32| {
        for round in 0..ROUNDS {
            let call = if round % 8 == thread {
                Call::Forced
            } else {
                Call::Any
            };
            match world.manager.ask(call) {
                Reply::Token(token, version) => {
                    let mut tokens = tokens.lock();
                    let known = tokens.entry(version).or_insert_with(|| Arc::clone(&token));
                    assert!(
                        version == 0 || Arc::ptr_eq(known, &token),
                        "two tokens for one version"
                    );
                }
                Reply::Flight(flight) | Reply::EarlierFlight(flight) => {
                    waited_for.lock().insert(flight);
                }
                Reply::Failure(error, _) => panic!("{error}"),
            }
            if round % 16 == thread {
                let version = world.manager.published().version();
                if world.manager.clear() == Clearing::Dropped {
                    assert_ne!(world.manager.published().version(), version);
                }
            }
            world.manager.published().count_hit();
            let _ = world.manager.snapshot();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let use_manager = &use_manager;
            scope.spawn(move || use_manager(thread));
        }
    });
    let waited_for = waited_for.into_inner();
    let mut ended = BTreeSet::new();
    runtime.block_on(async {
        while !ended.is_superset(&waited_for) {
            let flight_end = tokio::time::timeout(LIMIT, world.flight_ends.recv()).await;
            let (flight, ..) = flight_end.expect("every flight ends").unwrap();
            assert!(ended.insert(flight), "notified once");
        }
    });
}

/// A flight that requested its secret, and the call that will provide it.
async fn asking() -> (World, FlightId, SecretCall) {
    let mut world = World::with(function_config("portal"), 20, |_, _| token_answer(300));
    let (flight, call) = world.secret_call().await;
    (world, flight, call)
}

#[tokio::test(start_paused = true)]
async fn a_flight_whose_secret_function_is_never_called_fails_and_the_next_one_is_unaffected() {
    for change in [function_config("other"), function_config("portal"), config()] {
        let (mut world, flight, call) = asking().await;
        world.reconfigure(change);
        drop(call);
        let (id, outcome, version) = world.flight_end().await;
        assert_eq!((id, version), (flight, 0));
        assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Credential);
        assert!(world.manager.snapshot().last_failure.is_none(), "nothing has failed here");
        assert_eq!(world.warnings(), 0, "its callers ask again");
        assert_eq!(world.transport.count(), 0);
        assert!(matches!(world.manager.ask(Call::Any), Reply::Flight(next) if next != flight));
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_was_called_before_a_change_still_answers_its_flight() {
    let (mut world, flight, call) = asking().await;
    assert!(call.start());
    world.reconfigure(function_config("other"));
    call.settle(Ok(secret("s3cr+t")));
    let (id, outcome, version) = world.flight_end().await;
    assert_eq!((id, version), (flight, 0), "for its waiters, and not to be kept");
    assert_eq!(outcome.result.unwrap().access_token.expose(), "token-1");
    assert!(matches!(world.manager.ask(Call::Any), Reply::Flight(next) if next != flight));
}

#[tokio::test(start_paused = true)]
async fn closing_cancels_the_flights_of_former_configurations_as_well() {
    let mut world = World::new(1_000, |_, _| token_answer(300));
    world.flight();
    tokio::time::sleep(Duration::from_millis(10)).await;
    world.reconfigure(config());
    world.manager.close();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (_, outcome, _) = world.flight_end().await;
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::Internal, "its queue is closed");
    assert_eq!(Arc::strong_count(&world.transport), 1, "nothing of the setup is left");
}
