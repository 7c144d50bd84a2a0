//! Flights that lose their runtime, their client or their secret function.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use manager::Reply;
use manager::credential::SecretCall;
use manager::error::ErrorKind;
use manager::slot::{Call, FlightId};
use stand_ins::scripted::{config, function_config, secret, token_answer};
use stand_ins::simulated::World;

/// Longer than any non-blocking step takes, even on a machine under load. A test that exceeds it
/// has deadlocked.
const LIMIT: Duration = Duration::from_mins(1);

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

/// Returns a flight that requested its secret, and the call that will provide the secret.
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
        assert!(world.manager.snapshot().last_failure.is_none(), "this manager has not failed");
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
    assert_eq!((id, version), (flight, 0), "the waiters may not keep the token");
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
    assert_eq!(Arc::strong_count(&world.transport), 1, "the setup is gone");
}
