//! The manager in simulated time: the effects that the slot's decisions have with a runtime.

#![expect(clippy::float_cmp, clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manager::Reply;
use manager::clock::Clock;
use manager::config::{Config, Credential, CredentialConfig};
use manager::error::{Error, ErrorKind};
use manager::slot::{Call, Condition};
use stand_ins::scripted::{
    Step, config, function_config, reset, secret, starting, token_answer, wrong_secret,
};
use stand_ins::simulated::{SimulatedClock, World, pass};
use transport::{NetworkFault, TransportError};

#[tokio::test(start_paused = true)]
async fn a_token_in_use_is_refreshed_without_a_waiter_and_an_unused_one_is_not() {
    let mut world = World::new(20, |_, _| token_answer(300));
    world.any().await.unwrap();
    pass(239_000).await;
    assert_eq!(world.transport.count(), 1, "unused");

    let mut world = World::new(20, |_, _| token_answer(300));
    world.any().await.unwrap();
    let published = world.manager.published();
    published.count_hit();
    let version = published.version();
    pass(218_000).await;
    assert_eq!((world.transport.count(), published.version()), (1, version));
    pass(22_500).await;
    assert_eq!(world.transport.count(), 2);
    pass(5_000).await;
    assert_ne!(published.version(), version, "another token, another version");
    assert_eq!(world.any().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn the_version_changes_when_an_unused_token_goes_stale_and_when_it_expires() {
    let mut world = World::new(20, |_, _| token_answer(300));
    world.any().await.unwrap();
    let published = world.manager.published();
    let fresh = published.version();
    pass(239_900).await;
    assert_eq!(published.version(), fresh);
    pass(200).await;
    let stale = published.version();
    assert_ne!(stale, fresh, "only a caller starts the refresh");
    assert_eq!(world.sink.wakes.load(Ordering::SeqCst), 0);
    pass(60_000).await;
    assert_eq!(world.sink.wakes.load(Ordering::SeqCst), 1, "JavaScript drops its copies");
    assert_eq!(world.manager.snapshot().condition, Condition::Empty);
}

/// Returns a configuration with which half of the deadline passes before a fourth attempt.
fn impatient() -> Config {
    Config {
        request_timeout: Duration::from_millis(1_200),
        ..config()
    }
}

#[tokio::test(start_paused = true)]
async fn callers_without_a_token_outlast_a_restart_of_the_server() {
    for down_ms in [500, 2_500, 4_500, 6_500] {
        // A thousand seeds for each kind of failure.
        for seed in 0..3_000 {
            fastrand::seed(seed);
            let clock = Arc::new(OnceLock::<Arc<SimulatedClock>>::new());
            let is_back = {
                let clock = Arc::clone(&clock);
                move || clock.get().unwrap().now().monotonic() >= Duration::from_millis(down_ms)
            };
            let step = match seed % 3 {
                0 => reset(),
                1 => starting(None),
                _ => Step::Fail(TransportError::Network {
                    fault: NetworkFault::Refused,
                    detail: "refused".to_owned(),
                }),
            };
            let mut world = World::new(5, move |_, _| {
                if is_back() {
                    token_answer(300)
                } else {
                    step.clone()
                }
            });
            drop(clock.set(Arc::clone(&world.clock)));
            let start = world.now();
            world
                .any()
                .await
                .unwrap_or_else(|error| panic!("{down_ms} ms, {seed}: {error}"));
            let late = world
                .since(start)
                .saturating_sub(Duration::from_millis(down_ms));
            assert!(late <= Duration::from_secs(1), "{down_ms} ms, {seed}: {late:?} late");
            let requests = world.transport.count();
            assert!(requests <= 14, "{down_ms} ms, {seed}: {requests} requests");
        }
    }
}

/// A timer, even one of zero, takes about a millisecond. This test runs in real time, because the
/// simulated time does not advance for such a timer.
#[tokio::test]
async fn an_acquisition_waits_for_no_timer() {
    let mut times = Vec::new();
    for _ in 0..101 {
        let mut world = World::new(0, |_, _| token_answer(300));
        let start = world.now();
        world.any().await.unwrap();
        times.push(world.now().since(start));
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median < Duration::from_micros(500), "{median:?}");
}

#[tokio::test(start_paused = true)]
async fn short_lives_cause_one_login_per_second_also_with_a_short_deadline() {
    let config = Config {
        request_timeout: Duration::from_millis(300),
        ..config()
    };
    let mut world = World::with(config, 20, |_, _| token_answer(1));
    for _ in 0..1_000 {
        world.any().await.unwrap();
        pass(20).await;
    }
    let seconds = world.now().monotonic().as_secs();
    assert!(world.transport.count() as u64 <= seconds + 1, "{seconds} s");
}

#[tokio::test(start_paused = true)]
async fn an_api_whose_clock_is_two_seconds_behind_rejects_no_refreshed_token() {
    for lifetime in [12, 60] {
        let mut world = World::new(20, move |_, _| token_answer(lifetime));
        world.any().await.unwrap();
        pass(2_000).await;
        while world.transport.count() < 7 {
            pass(50).await;
            let Reply::Token(token, _) = world.manager.ask(Call::Any) else {
                panic!("{lifetime} s: a caller waits");
            };
            let age = token.age(world.now());
            assert!(age >= Duration::from_secs(2), "{lifetime} s: a token of age {age:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_fits_is_waited_for() {
    let mut world = World::new(20, |n, _| {
        if n < 3 {
            starting(Some(n))
        } else {
            token_answer(300)
        }
    });
    let start = world.now();
    assert_eq!(world.any().await.unwrap(), "token-3");
    let took = world.since(start);
    assert!((3_060..3_100).contains(&took.as_millis()), "1 s and 2 s: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_zero_does_not_remove_the_wait() {
    let mut least = Duration::MAX;
    for _ in 0..20 {
        let mut world = World::new(0, |n, _| {
            if n == 1 {
                starting(Some(0))
            } else {
                token_answer(300)
            }
        });
        let start = world.now();
        world.any().await.unwrap();
        least = least.min(world.since(start));
    }
    assert!(least > Duration::ZERO, "this wait has jitter too");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_connection_does_not_count_as_an_attempt_but_a_second_one_fails() {
    for (replaced, expected, retries) in
        [(1, Ok("token-2"), 0.0), (2, Ok("token-3"), 1.0), (6, Err(3), 2.0)]
    {
        let mut world = World::with(impatient(), 20, move |n, _| {
            if n <= replaced {
                Step::Fail(TransportError::ConnectionReplaced)
            } else {
                token_answer(300)
            }
        });
        let result = world.any().await;
        match expected {
            Ok(token) => assert_eq!(result.unwrap(), token),
            Err(attempts) => {
                let error = result.unwrap_err();
                assert_eq!(error.details().attempts, Some(attempts));
                assert!(error.to_string().contains("the connection was lost"), "{error}");
            }
        }
        assert_eq!(world.manager.snapshot().counters.retries, retries, "{replaced}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_flight_still_answers_its_waiters() {
    let mut world = World::new(20, |n, _| {
        if n == 1 {
            Step::Panic
        } else {
            token_answer(300)
        }
    });
    let error = world.any().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    pass(1_300).await;
    assert_eq!(world.any().await.unwrap(), "token-2", "the manager still works");
}

fn with_function() -> World {
    World::with(function_config("portal"), 20, |_, request| {
        let body = String::from_utf8(request.body.as_ref().unwrap().to_vec()).unwrap();
        if body.contains("client_secret=good") {
            token_answer(300)
        } else {
            wrong_secret()
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_deadline_starts_when_the_secret_function_is_called() {
    let mut world = with_function();
    let (_, call) = world.secret_call().await;
    pass(60_000).await;
    assert!(world.flight_ends.try_recv().is_err(), "a blocked event loop ends no flight");
    assert!(call.start());
    pass(14_000).await;
    call.settle(Ok(secret("good")));
    let (_, outcome, _) = world.flight_end().await;
    assert_eq!(outcome.result.unwrap().access_token.expose(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn acquisitions_that_overlap_share_a_call_in_progress() {
    let mut world = with_function();
    let (first, call) = world.secret_call().await;
    assert!(call.start());
    pass(10_000).await;
    let _ = world.manager.clear();
    let second = world.flight();
    let (id, outcome, _) = world.flight_end().await;
    assert_eq!((id, outcome.result.unwrap_err().kind()), (first, ErrorKind::Credential));
    call.settle(Ok(secret("good")));
    let (id, outcome, _) = world.flight_end().await;
    assert_eq!(id, second);
    assert!(outcome.result.is_ok(), "the secret arrived in time for the second");
    assert!(world.calls.try_recv().is_err(), "one call");
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_read_again_and_tried_once_more_only_if_it_changed() {
    for (name, second, requests, is_ok) in [
        ("rotated", Ok(secret("good")), 2, true),
        ("the same", Ok(secret("old")), 1, false),
        ("changed and wrong", Ok(secret("bad")), 2, false),
        ("no longer available", Err(Error::credential("gone")), 1, false),
    ] {
        let mut world = with_function();
        world.flight();
        for answer in [Ok(secret("old")), second] {
            let call = world.calls.recv().await.unwrap();
            assert!(call.start());
            call.settle(answer);
        }
        let (_, outcome, _) = world.flight_end().await;
        assert_eq!(outcome.result.is_ok(), is_ok, "{name}");
        assert_eq!(world.transport.count(), requests, "{name}");
        if let Err(error) = outcome.result {
            assert_eq!(error.kind(), ErrorKind::OAuth, "{name}: the error is the refusal");
        }
        assert!(world.calls.try_recv().is_err(), "{name}: called twice at most");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flight_receives_no_secret_that_was_configured_after_it_began() {
    for change in ["portal", "other"] {
        let mut world = World::new(1_000, |_, _| wrong_secret());
        world.flight();
        pass(500).await;
        let mut changed = config();
        change.clone_into(&mut changed.grant.client_id);
        changed.credential = CredentialConfig::Given(Credential::Secret(secret("good")));
        world.reconfigure(changed);
        let (_, outcome, _) = world.flight_end().await;
        assert!(outcome.result.is_err(), "{change}");
        assert_eq!(world.transport.count(), 1, "{change}");
        assert!(matches!(world.manager.ask(Call::Any), Reply::Flight(_)), "{change}: no cool-down");
    }
}

#[tokio::test(start_paused = true)]
async fn hits_on_a_stale_token_are_counted_as_such() {
    let mut world = World::new(20, |n, _| {
        if n == 1 {
            token_answer(300)
        } else {
            Step::Hang
        }
    });
    world.any().await.unwrap();
    let published = world.manager.published();
    for _ in 0..5 {
        published.count_hit();
    }
    pass(250_000).await;
    for _ in 0..3 {
        published.count_hit();
    }
    let counters = world.manager.snapshot().counters;
    assert_eq!((counters.hits, counters.stale_served), (8.0, 3.0));
}
