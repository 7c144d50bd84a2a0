//! A year of simulated time, divided among several token lifetimes: calls of every kind, an
//! unreliable server, clocks that step, and secrets that change. `SOAK_SEED` repeats a run.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "soak/client.rs"]
mod client;
#[path = "soak/server.rs"]
mod server;

use std::time::Duration;

use client::SimulatedClient;
use manager::slot::Call;
use server::{MOODS, Mood};
use tokio::runtime::Builder;

const HOUR: f64 = 3_600.0;
const DAY: f64 = 24.0 * HOUR;
/// The seed on CI, where the checks must not depend on chance.
const SEED_OF_CI: u64 = 274_287_520;
/// The number of additional days for which a run may continue until every case has occurred.
const MORE_DAYS: f64 = 10.0;
/// The latency of a healthy server.
const LATENCY_MS: u64 = 20;

fn seed() -> u64 {
    match std::env::var("SOAK_SEED") {
        Ok(text) => text.parse().expect("SOAK_SEED: a number"),
        Err(_) if std::env::var_os("CI").is_some() => SEED_OF_CI,
        Err(_) => fastrand::u64(..1_000_000_000),
    }
}

/// Returns a log-uniform random number: as likely in 1..10 as in 10..100.
fn wide(from: f64, to: f64) -> f64 {
    from * (to / from).powf(fastrand::f64())
}

/// Returns an exponentially distributed random time with this mean, as between independent events.
fn between_events(mean: f64) -> Duration {
    Duration::from_secs_f64(-mean * (1.0 - fastrand::f64()).ln())
}

/// Simulates a period with a healthy server and any number of calls.
async fn calm(client: &mut SimulatedClient, seconds: f64, life: f64) {
    let end = client.now() + Duration::from_secs_f64(seconds);
    let mean = wide(life / 200.0, life * 2.0);
    client.begin_window(true).await;
    while client.now() < end {
        client.rest(between_events(mean)).await;
        client.call(Call::Any);
        client
            .end_window_after(Duration::from_secs_f64(HOUR.max(2.0 * life)))
            .await;
    }
}

/// Simulates a period with faults.
async fn storm(client: &mut SimulatedClient, seconds: f64, life: f64) {
    let end = client.now() + Duration::from_secs_f64(seconds);
    let mean = wide(0.5, 30.0);
    client.begin_window(false).await;
    client.set_mood(Mood::Well);
    while client.now() < end {
        client.rest(between_events(mean)).await;
        match fastrand::u32(0..100) {
            0..60 => client.call(Call::Any),
            60..68 => {
                let minimum = Duration::from_secs_f64(life * 1.2 * fastrand::f64());
                client.call(Call::Minimum(minimum));
            }
            68..74 => client.call(Call::Forced),
            74..80 => client.invalidate(),
            80..84 => client.clear(),
            84..87 => client.step_wall(wide(100.0, 36_000_000.0) as i64),
            87..90 => client.step_wall(-wide(100.0, 36_000_000.0) as i64),
            90..93 => client.rotate_secret(),
            93..95 => client.reconfigure(),
            _ => {
                client.set_mood(MOODS[fastrand::usize(0..MOODS.len())]);
                client.set_latency(wide(1.0, 16_000.0) as u64);
            }
        }
        client.end_window_after(Duration::from_secs_f64(HOUR)).await;
    }
    client.set_mood(Mood::Well);
    client.set_latency(LATENCY_MS);
    client.reconfigure();
    // All acquisitions in progress end within this time.
    client.rest(Duration::from_mins(2)).await;
}

fn soak(life: u64, days: f64) {
    let seed = seed();
    fastrand::seed(seed);
    println!("SOAK_SEED={seed}");
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run(life, days));
}

async fn run(life: u64, days: f64) {
    let mut client = SimulatedClient::new(Duration::from_secs(life), LATENCY_MS);
    let end = Duration::from_secs_f64(days * DAY);
    let latest = end + Duration::from_secs_f64(MORE_DAYS * DAY);
    let life = life as f64;
    // A short run may miss some cases by chance.
    while client.now() < end || (!client.is_varied() && client.now() < latest) {
        calm(&mut client, (wide(4.0, 24.0) * HOUR).max(life * wide(1.0, 3.0)), life).await;
        storm(&mut client, wide(0.05, 0.5) * HOUR, life).await;
    }
    let is_varied = client.is_varied();
    let counts = client.finish().await;
    println!("tokens of {life} s, {days} days: {counts:?}");
    assert!(is_varied, "{counts:?}");
}

#[test]
fn two_days_of_tokens_of_ten_seconds() {
    soak(10, 2.0);
}

#[test]
fn six_days_of_tokens_of_a_minute() {
    soak(60, 6.0);
}

#[test]
fn thirty_days_of_tokens_of_five_minutes() {
    soak(300, 30.0);
}

#[test]
fn a_hundred_days_of_tokens_of_an_hour() {
    soak(3_600, 100.0);
}

#[test]
fn two_hundred_and_thirty_days_of_tokens_of_a_day() {
    soak(86_400, 230.0);
}
