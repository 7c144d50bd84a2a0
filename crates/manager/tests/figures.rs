//! Counts the token requests that a manager makes in simulated time: per hour for several token
//! lifetimes, and while the endpoint fails. Each row may have an upper limit, its bar. The manager
//! spreads refreshes and retries at random, so the worst of several seeds counts.
//! `FIGURES=<folder>` writes the counts to that folder, for `bench/scenarios/{requests,outage}.js`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::{env, fs, path::Path, time::Duration};

use manager::Reply;
use manager::slot::Call;
use serde_json::{Value, json};
use stand_ins::scripted::{Step, refusal, token_answer, wrong_secret};
use stand_ins::simulated::{World, pass};

const SEEDS: u64 = 20;
const HOUR_SECONDS: u64 = 3_600;
const OUTAGE_SECONDS: u64 = 300;
const OUTAGE_CALLS_PER_SECOND: u64 = 100;

/// The result of calls at a steady rate: the times at which requests reached the server, in ms, and
/// the number of calls that got a token immediately.
struct Load {
    requests: Vec<u64>,
    served: u64,
}

async fn load(script: impl Fn() -> Step + Send + Sync + 'static, calls: u64, every: u64) -> Load {
    // The server answers immediately, as it does for the other sides in the benchmark.
    let world = World::new(0, move |_, _| script());
    let mut requests = Vec::new();
    let mut served = 0;
    for call in 0..calls {
        if matches!(world.manager.ask(Call::Any), Reply::Token(..)) {
            served += 1;
        }
        pass(every).await;
        requests.resize(world.transport.count(), call * every);
    }
    Load { requests, served }
}

/// Returns the load for each seed, sorted by the number of requests.
async fn loads(script: fn(u64) -> Step, argument: u64, calls: u64, every: u64) -> Vec<Load> {
    let mut loads = Vec::new();
    for seed in 1..=SEEDS {
        fastrand::seed(seed);
        loads.push(load(move || script(argument), calls, every).await);
    }
    loads.sort_by_key(|load| load.requests.len());
    loads
}

fn write(name: &str, figures: &Value) {
    if let Ok(folder) = env::var("FIGURES") {
        fs::write(Path::new(&folder).join(name), figures.to_string()).expect("a folder");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_in_an_hour_of_a_call_a_second_follow_the_life_of_the_tokens() {
    let mut figures = Vec::new();
    for (life, bar) in
        [(10, Some(793)), (60, Some(132)), (300, Some(17)), (900, None), (3_600, Some(2))]
    {
        let loads = loads(token_answer, life, HOUR_SECONDS, 1_000).await;
        let waited = 1;
        for load in &loads {
            assert_eq!(load.served, HOUR_SECONDS - waited, "{life} s: only the first call waits");
        }
        let (least, most) = ends(&loads);
        assert!(least as u64 >= HOUR_SECONDS / life, "{life} s: {least} requests are too few");
        assert!(bar.is_none_or(|bar| most <= bar), "{life} s: {most} requests");
        figures.push(json!({
            "life": life, "least": least, "most": most, "bar": bar, "waited": waited,
        }));
    }
    write("requests.json", &json!({ "seeds": SEEDS, "lives": figures }));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_for_five_minutes_sees_few_requests() {
    let unavailable: fn(u64) -> Step = |_| refusal(503, "starting");
    let refusing: fn(u64) -> Step = |_| wrong_secret();
    let calls = OUTAGE_SECONDS * OUTAGE_CALLS_PER_SECOND;
    let mut figures = Vec::new();
    for (status, script, bar) in [(503, unavailable, 70), (401, refusing, 15)] {
        let loads = loads(script, 0, calls, 1_000 / OUTAGE_CALLS_PER_SECOND).await;
        let (least, most) = ends(&loads);
        assert!(least >= 8, "{status}: {least} requests are too few");
        assert!(most <= bar, "{status}: {most} requests");
        assert!(loads.iter().all(|load| load.served == 0), "{status}: there is no token");
        let times = &loads.last().unwrap().requests;
        figures.push(json!({
            "status": status, "least": least, "most": most, "bar": bar, "times": times,
        }));
    }
    write("outage.json", &json!({ "seeds": SEEDS, "calls": calls, "outages": figures }));
}

/// Calls between two results would only get the last error again. Of the hundred calls a second,
/// this test therefore makes only those that can get a new result.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_503_for_five_minutes_sees_at_most_75_requests_under_any_seed() {
    let every = 1_000 / OUTAGE_CALLS_PER_SECOND;
    for seed in 0..1_000 {
        fastrand::seed(seed);
        let mut world = World::new(0, |_, _| refusal(503, "starting"));
        let start = world.now();
        while world.since(start) < Duration::from_secs(OUTAGE_SECONDS) {
            let left = match world.manager.ask(Call::Any) {
                Reply::Failure(_, Some(left)) => left,
                Reply::Flight(_) => {
                    world.flight_end().await;
                    Duration::ZERO
                }
                other => panic!("{seed}: {other:?}"),
            };
            let left = u64::try_from(left.as_millis()).unwrap();
            pass(left - left % every + every).await;
        }
        let requests = world.transport.count();
        assert!((40..=75).contains(&requests), "{seed}: {requests} requests");
    }
}

fn ends(loads: &[Load]) -> (usize, usize) {
    let count = |load: Option<&Load>| load.unwrap().requests.len();
    (count(loads.first()), count(loads.last()))
}
