//! A caller that uses a manager as the facade does. It checks the properties that depend on the
//! runtime: the age of tokens that the published version serves, deadlines, the number of requests,
//! and the leftovers of finished flights. `fuzzing/slot` compares the decisions of the slot with a
//! model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use manager::Reply;
use manager::clock::Moment;
use manager::error::{Error, ErrorKind};
use manager::published::NO_TOKEN;
use manager::slot::{Call, Condition, FlightId, Invalidation, RouteId, Token};
use tokio::runtime::Handle;

use super::server::{Issue, Mood, SimulatedServer};
use stand_ins::scripted::config;
use stand_ins::simulated::{FlightEnd, World};

/// The longest time until the manager notices a step of the wall clock: a second, plus the
/// tolerated drift.
const NOTICED_WITHIN: Duration = Duration::from_millis(1_051);
/// The resolution of timers.
const TIMER_RESOLUTION: Duration = Duration::from_millis(2);
/// The deadline of an acquisition plus a margin.
const LONGEST_WAIT: Duration = Duration::from_millis(15_050);
const DOCUMENTED: [ErrorKind; 6] = [
    ErrorKind::Credential,
    ErrorKind::OAuth,
    ErrorKind::Http,
    ErrorKind::Protocol,
    ErrorKind::Network,
    ErrorKind::Timeout,
];
/// The cases that every run has to reach.
const CASES: [&str; 7] =
    ["served by version", "served", "waited", "failed", "refreshed", "suppressed", "dropped"];

/// The period since the client last counted the requests.
#[derive(Default)]
struct Window {
    start: Duration,
    acquisitions: f64,
    failures: u64,
    /// The number of events that may each have caused a request.
    causes: u64,
    is_calm: bool,
}

/// The caller and its environment.
pub(super) struct SimulatedClient {
    world: World,
    server: Arc<SimulatedServer>,
    /// The token that the facade keeps, and its version.
    kept: Option<(u32, Arc<Token>)>,
    waiting: Vec<(FlightId, Call, Duration)>,
    /// The time of the last step of the wall clock, and how far the wall clock was ahead before
    /// that step.
    stepped: (Duration, Duration),
    /// Whether a failure followed the last success.
    has_failed: bool,
    /// The last flight that began with an earlier configuration.
    last_outdated: u32,
    window: Window,
    rotations: u32,
    counts: BTreeMap<&'static str, u64>,
}

impl SimulatedClient {
    pub(super) fn new(lifetime: Duration, latency_ms: u64) -> Self {
        let server = Arc::new(SimulatedServer::new(lifetime));
        let answering = Arc::clone(&server);
        let world =
            World::with(server.config(), latency_ms, move |_, request| answering.answer(request));
        server.set_clock(&world.clock);
        let stepped = (Duration::ZERO, world.now().offset());
        Self {
            world,
            server,
            kept: None,
            waiting: Vec::new(),
            stepped,
            has_failed: false,
            last_outdated: 0,
            window: Window::default(),
            rotations: 0,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.world.now().monotonic()
    }

    fn count(&mut self, case: &'static str, times: usize) {
        if times > 0 {
            *self.counts.entry(case).or_default() += times as u64;
        }
    }

    /// Whether every case to check has occurred.
    pub(super) fn is_varied(&self) -> bool {
        CASES.iter().all(|case| self.counts.contains_key(case))
    }

    /// Returns the number of acquisitions that have begun. A snapshot counts before it starts a
    /// refresh that is due, for example after a step of the wall clock, so only a second snapshot
    /// includes that refresh.
    fn acquisitions(&self) -> f64 {
        let _ = self.world.manager.snapshot();
        self.world.manager.snapshot().counters.acquisitions
    }

    pub(super) fn call(&mut self, call: Call) {
        let now = self.world.now();
        if call != Call::Any {
            self.window.causes += 1;
        }
        let published = self.world.manager.published();
        if let (Call::Any, Some((version, token))) = (call, &self.kept)
            && published.version() == *version
        {
            published.count_hit();
            self.check_served(now, token, true);
            return self.count("served by version", 1);
        }
        match self.world.manager.ask(call) {
            Reply::Token(token, version) => {
                assert_ne!(call, Call::Forced);
                self.count("served", 1);
                self.check_served(now, &token, false);
                self.keep(version, &token);
            }
            Reply::Flight(flight) => {
                self.count("waited", 1);
                self.waiting.push((flight, call, now.monotonic()));
            }
            Reply::EarlierFlight(_) => self.count("waited for an earlier flight", 1),
            Reply::Failure(error, retry_after) => {
                check_documented(&error);
                assert!(retry_after.is_some(), "{error}");
                self.count("suppressed", 1);
            }
        }
    }

    pub(super) fn invalidate(&mut self) {
        let Some((_, kept)) = &self.kept else { return };
        let rejected = kept.access_token.expose().to_owned();
        if self.world.manager.invalidate(&rejected, RouteId(0)) == Invalidation::Dropped {
            self.count("dropped", 1);
            self.window.causes += 1;
        }
    }

    pub(super) fn clear(&mut self) {
        let _ = self.world.manager.clear();
        self.window.causes += 1;
    }

    /// Steps the wall clock. A suspension of the machine looks like a step forward.
    pub(super) fn step_wall(&mut self, by_ms: i64) {
        let now = self.world.now();
        let (at, offset) = self.stepped;
        // Steps that follow each other too fast for the manager to notice each one count as one
        // step from the lowest offset.
        if now.monotonic() > at + NOTICED_WITHIN {
            self.stepped = (now.monotonic(), now.offset());
        } else {
            self.stepped = (now.monotonic(), offset.min(now.offset()));
        }
        self.world.clock.step_wall(by_ms);
        if by_ms > 0 {
            // More time has passed, so a cool-down may have ended or a token may have expired.
            self.window.causes += 1;
        }
    }

    pub(super) fn rotate_secret(&mut self) {
        self.rotations += 1;
        self.server.set_secret(format!("secret-{}", self.rotations));
    }

    pub(super) fn reconfigure(&mut self) {
        let mut changed = self.server.config();
        if fastrand::bool() {
            let round = self.rotations.to_string();
            changed.grant.parameters = vec![("round".to_owned(), round)];
        }
        self.last_outdated = self.acquisitions() as u32;
        self.window.causes += 1;
        self.world.reconfigure(changed);
    }

    /// Returns the number of acquisitions in progress, whatever their configuration.
    fn in_progress(&self) -> usize {
        let state = self.world.manager.snapshot();
        (state.counters.acquisitions - state.latency.count) as usize
    }

    pub(super) fn set_mood(&mut self, mood: Mood) {
        self.server.set_mood(mood);
    }

    pub(super) fn set_latency(&mut self, ms: u64) {
        self.world.transport.latency_ms.store(ms, Ordering::SeqCst);
    }

    /// Lets time pass, and handles the flights that end meanwhile.
    pub(super) async fn rest(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end || !self.world.flight_ends.is_empty() {
            if let Some(quiet) = self.quiet(end) {
                tokio::time::advance(quiet).await;
                continue;
            }
            let wait = end.saturating_sub(self.now());
            if let Ok(end) = tokio::time::timeout(wait, self.world.flight_end()).await {
                self.take_flight_end(end);
            }
        }
    }

    /// Returns a period in which nothing happens, so that the test need not compare the clocks
    /// every second: the token is fresh, no refresh can begin yet, and the last acquisition
    /// succeeded.
    fn quiet(&self, end: Duration) -> Option<Duration> {
        let state = self.world.manager.snapshot();
        let token = state.token?;
        let now = self.now();
        let is_quiet = state.condition == Condition::Fresh
            && state.counters.acquisitions <= state.latency.count
            && self.world.flight_ends.is_empty()
            && !self.has_failed
            && now > self.stepped.0 + NOTICED_WITHIN;
        let quiet = token.soft.mul_f64(0.909).checked_sub(token.age)?;
        let quiet = quiet.min(end.saturating_sub(now));
        (is_quiet && quiet > Duration::from_secs(2)).then_some(quiet)
    }

    fn take_flight_end(&mut self, (flight, outcome, version): FlightEnd) {
        let now = self.world.now();
        let waiters: Vec<_> = self
            .waiting
            .extract_if(.., |(id, ..)| *id == flight)
            .collect();
        for (_, _, since) in &waiters {
            let waited = now.monotonic().saturating_sub(*since);
            assert!(waited <= LONGEST_WAIT, "waited for {waited:?}");
        }
        if flight.0 <= self.last_outdated && outcome.is_void_after_change() {
            for (_, call, _) in waiters {
                self.call(call);
            }
            return;
        }
        match outcome.result {
            Ok(token) => {
                self.count("refreshed", 1);
                self.has_failed = false;
                // The token had expired, the held token outlives it, or the flight was detached, so
                // the caller requests again.
                if version == NO_TOKEN {
                    self.window.causes += 1 + waiters.len() as u64;
                }
                self.keep(version, &token);
            }
            Err(error) => {
                check_documented(&error);
                self.window.failures += 1;
                self.has_failed = true;
                match outcome.fallback {
                    Some(token) => self.check_served(now, &token, false),
                    None => self.count("failed", waiters.len()),
                }
            }
        }
    }

    fn keep(&mut self, version: u32, token: &Arc<Token>) {
        if version != NO_TOKEN {
            self.kept = Some((version, Arc::clone(token)));
        }
    }

    /// Checks a token from the cache: it must not have expired by either clock, counted from the
    /// time at which the server granted it. If the caller checked only the version, the manager may
    /// notice a step of the clock a second late.
    fn check_served(&self, now: Moment, token: &Token, by_version: bool) {
        let issue = Issue::of_token(token.access_token.expose());
        let mono = now.monotonic().saturating_sub(issue.at.monotonic());
        let mut wall = now.wall().saturating_sub(issue.at.wall());
        if by_version && now.monotonic() <= self.stepped.0 + NOTICED_WITHIN {
            let before = now.monotonic().saturating_add(self.stepped.1);
            wall = wall.min(before.saturating_sub(issue.at.wall()));
        }
        // The timer that changes the version fires at the end of the millisecond.
        let late = if by_version {
            TIMER_RESOLUTION
        } else {
            Duration::ZERO
        };
        let end = usable(issue.lifetime).saturating_add(late);
        assert!(mono < end, "{issue:?} served after {mono:?}");
        assert!(wall < end, "{issue:?} served after {wall:?} of the wall clock");
        assert_eq!(token.life.granted(), issue.lifetime);
    }

    pub(super) async fn begin_window(&mut self, is_calm: bool) {
        self.end_window().await;
        self.window.is_calm = is_calm;
    }

    pub(super) async fn end_window_after(&mut self, time: Duration) {
        if self.now().saturating_sub(self.window.start) >= time {
            self.end_window().await;
        }
    }

    /// Checks the number of requests, and the resources that remain.
    async fn end_window(&mut self) {
        let (requests, least) = self.server.take_counts();
        let acquisitions = self.acquisitions();
        let window = &self.window;
        let started = acquisitions - window.acquisitions;
        let span = self.now().saturating_sub(window.start).as_secs_f64();
        let regular = (span / (0.91 * soft(least).as_secs_f64().max(0.5))).floor() + 2.0;
        if window.is_calm {
            assert_eq!(window.failures, 0);
            assert!(requests as f64 <= regular, "{requests} requests in {span} s");
        } else {
            let most = regular + window.causes as f64 + window.failures as f64;
            assert!(started <= most, "{started} acquisitions, {most} causes");
            // The manager spends up to half of the deadline on attempts, and some attempts began
            // before the window.
            assert!(requests as f64 <= 16.0 * (started + 2.0), "{requests} in {started}");
        }
        self.window = Window {
            start: self.now(),
            acquisitions,
            is_calm: window.is_calm,
            ..Window::default()
        };
        for (_, line) in self.world.sink.lines.lock().drain(..) {
            assert!(!line.contains("secret-") && !line.contains("token-"), "{line}");
        }
        self.check_left_overs().await;
    }

    async fn check_left_overs(&self) {
        // The runtime starts flights when this task pauses.
        tokio::task::yield_now().await;
        for (flight, _, since) in &self.waiting {
            let waited = self.now().saturating_sub(*since);
            assert!(waited <= LONGEST_WAIT, "{flight:?} does not end: {waited:?}");
        }
        // There is one task for the timers, one that starts flights, and one for each flight. There
        // is one transport for the test, one for the current configuration, and at most one for
        // each flight of a former configuration.
        let flights = self.in_progress();
        let transports = Arc::strong_count(&self.world.transport);
        assert!((2..=2 + flights).contains(&transports), "{transports} with {flights} flights");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 2 + flights);
    }

    /// Closes the manager, and returns the number of occurrences of each case.
    pub(super) async fn finish(mut self) -> BTreeMap<&'static str, u64> {
        self.end_window().await;
        self.world.manager.close();
        self.rest(Duration::from_mins(1)).await;
        assert_eq!(Arc::strong_count(&self.world.transport), 1);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 2);
        self.counts
    }
}

fn check_documented(error: &Error) {
    assert!(DOCUMENTED.contains(&error.kind()), "{error:?}");
}

/// Returns the part of a lifetime in which the manager serves the token.
fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(Duration::from_secs(1).min(lifetime / 4))
}

/// Returns the part of a lifetime after which the token is due for replacement.
fn soft(lifetime: Duration) -> Duration {
    let buffer = config().expiry_buffer.min(lifetime / 2);
    usable(lifetime).min(lifetime.saturating_sub(buffer))
}
