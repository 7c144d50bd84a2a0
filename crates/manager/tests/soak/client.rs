//! A caller that uses a manager as the facade does and checks every result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use manager::Reply;
use manager::acquire::backoff;
use manager::clock::Moment;
use manager::config::{Config, Credential, CredentialConfig};
use manager::credential::SecretCall;
use manager::error::{Error, ErrorKind};
use manager::published::NO_TOKEN;
use manager::slot::Token;
use manager::slot::{Call, Condition, FlightId, Invalidation, Storage};
use manager::snapshot::TokenTimes;
use tokio::runtime::Handle;

use super::server::{Mood, SimulatedServer};
use stand_ins::simulated::{FlightEnd, World, config, secret};

/// How late a step of the wall clock is noticed: a second, plus the tolerated drift.
const NOTICED_WITHIN: Duration = Duration::from_millis(1_051);
/// The resolution of timers.
const ALARM: Duration = Duration::from_millis(2);
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

/// The events that occurred.
#[derive(Debug, Default)]
pub(super) struct SoakCounts {
    calls: u64,
    served_by_word: u64,
    served: u64,
    waited: u64,
    failed: u64,
    fallbacks: u64,
    refreshes: u64,
    failures: u64,
    dropped: u64,
    kept: u64,
    suppressed: u64,
    most_requests_an_hour: f64,
}

impl SoakCounts {
    /// Whether every case to check has occurred.
    pub(super) fn is_varied(&self) -> bool {
        [
            self.served_by_word,
            self.served,
            self.waited,
            self.failed,
            self.refreshes,
            self.failures,
            self.dropped,
            self.suppressed,
        ]
        .iter()
        .all(|count| *count > 0)
    }
}

/// The window since requests were last counted.
struct Window {
    start: Duration,
    acquisitions: f64,
    failures: u64,
    /// Events that may each have caused a request.
    causes: u64,
    is_calm: bool,
}

/// The state of consecutive failures.
#[derive(Default)]
struct CallRow {
    failures: u32,
    cool_until: Duration,
    acquisitions: f64,
}

/// The caller and its environment.
pub(super) struct SimulatedClient {
    world: World,
    server: Arc<SimulatedServer>,
    /// The token that the facade keeps, and its version.
    kept: Option<(u32, Arc<Token>)>,
    /// The token that the manager is known to hold.
    held: Option<Arc<Token>>,
    waiting: Vec<(FlightId, Call, Duration)>,
    /// Pending answers of the secret function, with the time of each.
    answers: Vec<(Duration, SecretCall)>,
    /// Calls of the secret function that never settle.
    unsettled: Vec<SecretCall>,
    /// When the wall clock was stepped, and by how much it was ahead before.
    stepped: (Duration, Duration),
    row: CallRow,
    /// Flights up to this one began with an earlier configuration.
    last_outdated: u32,
    /// How many of them have not landed.
    outdated_under_way: usize,
    /// Flights up to this one began before a token was dropped.
    last_detached: u32,
    window: Window,
    rotations: u32,
    /// Whether the secret function fails occasionally.
    is_function_moody: bool,
    counts: SoakCounts,
}

enum ClientEvent {
    SecretWanted(SecretCall),
    FlightEnded(FlightEnd),
    Time,
}

fn with_function() -> Config {
    Config {
        credential: CredentialConfig::Function,
        ..config()
    }
}

impl SimulatedClient {
    pub(super) fn new(lifetime: u64, latency_ms: u64) -> Self {
        let server = Arc::new(SimulatedServer::new(lifetime));
        let answering = Arc::clone(&server);
        let world = World::with(with_function(), latency_ms, move |number, request| {
            answering.answer(number, request)
        });
        server.set_clock(&world.clock);
        let stepped = (Duration::ZERO, world.now().offset());
        Self {
            world,
            server,
            kept: None,
            held: None,
            waiting: Vec::new(),
            answers: Vec::new(),
            unsettled: Vec::new(),
            stepped,
            row: CallRow::default(),
            last_outdated: 0,
            outdated_under_way: 0,
            last_detached: 0,
            window: Window {
                start: Duration::ZERO,
                acquisitions: 0.0,
                failures: 0,
                causes: 0,
                is_calm: false,
            },
            rotations: 0,
            is_function_moody: false,
            counts: SoakCounts::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.world.now().monotonic
    }

    /// How many acquisitions have begun. A snapshot counts before it starts a refresh that is due,
    /// for example after a step of the wall clock, so only a second snapshot includes it.
    fn acquisitions(&self) -> f64 {
        let _ = self.world.manager.snapshot();
        self.world.manager.snapshot().counters.acquisitions
    }

    pub(super) fn call(&mut self, call: Call) {
        self.counts.calls += 1;
        let now = self.world.now();
        if call != Call::Any {
            self.window.causes += 1;
        }
        if let (Call::Any, Some((version, token))) = (call, &self.kept)
            && self.world.manager.published().version() == *version
        {
            let token = Arc::clone(token);
            self.world.manager.published().count_hit();
            self.counts.served_by_word += 1;
            self.check_served(now, &token, true);
            return;
        }
        match self.world.manager.ask(call) {
            Reply::Token(token, version) => {
                assert_ne!(call, Call::Forced);
                self.counts.served += 1;
                self.check_served(now, &token, false);
                self.keep(version, &token);
                self.held = Some(token);
            }
            Reply::Flight(flight) => {
                if call == Call::Any {
                    self.check_loss(now);
                }
                self.counts.waited += 1;
                self.waiting.push((flight, call, now.monotonic));
            }
            Reply::Failure(error, retry_after) => {
                if call != Call::Forced {
                    self.check_loss(now);
                }
                check_documented(&error);
                assert!(retry_after.is_some(), "{error}");
                self.counts.suppressed += 1;
                self.counts.failed += 1;
            }
        }
        self.check_cooldown();
    }

    pub(super) fn invalidate(&mut self) {
        let Some(held) = &self.held else { return };
        let rejected = held.access_token.expose().to_owned();
        match self.world.manager.invalidate(&rejected) {
            Invalidation::Dropped => {
                self.counts.dropped += 1;
                self.forget();
            }
            Invalidation::Kept => self.counts.kept += 1,
            Invalidation::Ignored => {}
        }
    }

    pub(super) fn invalidate_another(&mut self) {
        let outcome = self.world.manager.invalidate("another");
        assert_eq!(outcome, Invalidation::Ignored);
    }

    pub(super) fn clear(&mut self) {
        let _ = self.world.manager.clear();
        self.forget();
    }

    fn forget(&mut self) {
        self.held = None;
        self.last_detached = self.acquisitions() as u32;
        self.window.causes += 1;
    }

    /// Steps the wall clock, or wakes a suspended machine.
    pub(super) fn step_wall(&mut self, by: Duration) {
        self.note_step();
        self.world.clock.step_wall(by);
        // More time has passed, so a cool-down or a token may have ended.
        self.row.cool_until = Duration::ZERO;
        self.window.causes += 1;
        self.end_held();
    }

    /// A token that has ended stays ended even if the clock steps back.
    fn end_held(&mut self) {
        let now = self.world.now();
        self.held.take_if(|held| held.remaining(now).is_zero());
    }

    pub(super) fn step_wall_back(&mut self, by: Duration) {
        self.end_held();
        self.note_step();
        self.world.clock.step_wall_back(by);
    }

    fn note_step(&mut self) {
        let now = self.world.now();
        let (at, offset) = self.stepped;
        // If steps follow each other too fast to be noticed, only the first counts.
        if now.monotonic > at + NOTICED_WITHIN {
            self.stepped = (now.monotonic, now.offset());
        } else {
            self.stepped = (now.monotonic, offset.min(now.offset()));
        }
    }

    pub(super) fn rotate_secret(&mut self) {
        self.rotations += 1;
        self.server.set_secret(format!("secret-{}", self.rotations));
    }

    pub(super) fn reconfigure(&mut self) {
        let mut changed = with_function();
        if fastrand::bool() {
            let name = format!("{}", self.rotations);
            changed.grant.parameters = vec![("round".to_owned(), name)];
        }
        if fastrand::bool() {
            let secret = secret(&self.server.secret());
            changed.credential = CredentialConfig::Given(Credential::Secret(secret));
        }
        self.last_outdated = self.acquisitions() as u32;
        self.last_detached = self.last_outdated;
        self.outdated_under_way = self.under_way() + self.world.landings.len();
        self.row = CallRow::default();
        self.window.causes += 1;
        // A function that was not called by now will not be called.
        while self.world.calls.try_recv().is_ok() {}
        self.world.reconfigure(changed);
    }

    /// Acquisitions under way, whatever their configuration.
    fn under_way(&self) -> usize {
        let state = self.world.manager.snapshot();
        (state.counters.acquisitions - state.latency.count) as usize
    }

    pub(super) fn set_mood(&mut self, mood: Mood) {
        self.server.set_mood(mood);
    }

    pub(super) fn set_function_moody(&mut self, is_moody: bool) {
        self.is_function_moody = is_moody;
    }

    pub(super) fn set_latency(&mut self, ms: u64) {
        self.world.transport.latency_ms.store(ms, Ordering::SeqCst);
    }

    /// Lets time pass, and handles everything that arrived by its end. A failure handled after the
    /// next step of the wall clock would appear to begin a cool-down that the step has ended.
    pub(super) async fn rest(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end || !self.world.landings.is_empty() || !self.world.calls.is_empty() {
            if let Some(quiet) = self.quiet(end) {
                tokio::time::advance(quiet).await;
                continue;
            }
            match self.next_event(end).await {
                ClientEvent::SecretWanted(call) => self.take_secret_call(call),
                ClientEvent::FlightEnded(landing) => self.take_landing(landing),
                ClientEvent::Time => self.give_answers(),
            }
            self.check_cooldown();
        }
    }

    async fn next_event(&mut self, end: Duration) -> ClientEvent {
        let answer = self.answers.iter().map(|(due, _)| *due).min();
        let until = answer.map_or(end, |due| due.min(end));
        let wait = until.saturating_sub(self.now());
        tokio::select! {
            biased;
            call = self.world.calls.recv() => ClientEvent::SecretWanted(call.expect("a sink")),
            landing = self.world.landings.recv() => ClientEvent::FlightEnded(landing.expect("a sink")),
            () = tokio::time::sleep(wait) => ClientEvent::Time,
        }
    }

    /// A period in which nothing can happen, so that the clocks need not be compared every second:
    /// the token is fresh, no refresh can begin yet, and no failure precedes it.
    fn quiet(&self, end: Duration) -> Option<Duration> {
        let state = self.world.manager.snapshot();
        let token = state.token?;
        let now = self.now();
        let is_quiet = state.condition == Condition::Fresh
            && state.counters.acquisitions <= state.latency.count
            && self.answers.is_empty()
            && self.world.calls.is_empty()
            && self.world.landings.is_empty()
            && self.row.failures == 0
            && now > self.stepped.0 + NOTICED_WITHIN;
        let quiet = token.soft.mul_f64(0.909).checked_sub(token.age)?;
        let quiet = quiet.min(end.saturating_sub(now));
        (is_quiet && quiet > Duration::from_secs(2)).then_some(quiet)
    }

    fn take_secret_call(&mut self, call: SecretCall) {
        if !call.start() {
            return;
        }
        match fastrand::u32(0..200) {
            0 if self.is_function_moody => {
                self.unsettled.retain(SecretCall::start);
                self.unsettled.push(call);
            }
            1 if self.is_function_moody => call.settle(Err(Error::credential("no secret"))),
            2..20 if self.is_function_moody => {
                let late = Duration::from_secs_f64(20.0 * fastrand::f64());
                self.answers.push((self.now() + late, call));
            }
            _ => self.answer(call),
        }
    }

    fn answer(&self, call: SecretCall) {
        call.settle(Ok(secret(&self.server.secret())));
    }

    fn give_answers(&mut self) {
        let now = self.now();
        let (due, rest) = self.answers.drain(..).partition(|(at, _)| *at <= now);
        self.answers = rest;
        let due: Vec<_> = due;
        for (_, call) in due {
            self.answer(call);
        }
    }

    fn take_landing(&mut self, (flight, landed, version): FlightEnd) {
        let now = self.world.now();
        let is_outdated = flight.0 <= self.last_outdated;
        let (mine, others) = self.waiting.drain(..).partition(|(f, ..)| *f == flight);
        self.waiting = others;
        let mine: Vec<(FlightId, Call, Duration)> = mine;
        for (_, _, since) in &mine {
            let waited = now.monotonic.saturating_sub(*since);
            assert!(waited <= LONGEST_WAIT, "waited for {waited:?}");
        }
        if is_outdated {
            self.outdated_under_way -= 1;
            if landed.is_void_after_change() {
                for (_, call, _) in mine {
                    self.call(call);
                }
                return;
            }
        }
        match landed.result {
            Ok(token) => {
                self.counts.refreshes += 1;
                if !is_outdated {
                    self.row = CallRow::default();
                }
                self.check_issue(now, &token, landed.storage == Storage::Over);
                // Expired, outlived by the held token or detached: the caller requests again.
                if version == NO_TOKEN {
                    self.window.causes += 1 + mine.len() as u64;
                }
                if self.is_held(&token) {
                    self.held = Some(Arc::clone(&token));
                }
                self.keep(version, &token);
            }
            Err(error) => {
                check_documented(&error);
                self.counts.failures += 1;
                self.window.failures += 1;
                if !is_outdated {
                    self.cool(now, &error);
                }
                if let Some(token) = landed.fallback {
                    self.counts.fallbacks += 1;
                    self.check_served(now, &token, false);
                } else {
                    self.counts.failed += mine.len() as u64;
                    let insist = mine.iter().all(|(_, call, _)| *call == Call::Forced);
                    // A flight that began before a token was dropped cannot have replaced it.
                    if !insist && flight.0 > self.last_detached {
                        self.check_loss(now);
                    }
                }
            }
        }
    }

    fn is_held(&self, token: &Arc<Token>) -> bool {
        let age = token.age(self.world.now());
        let state = self.world.manager.snapshot();
        // The request of a detached flight may have been sent at the same time.
        let times = |token: TokenTimes| (token.age, token.hard);
        state.token.map(times) == Some((age, token.life.hard))
    }

    fn keep(&mut self, version: u32, token: &Arc<Token>) {
        if version != NO_TOKEN {
            self.kept = Some((version, Arc::clone(token)));
        }
    }

    fn cool(&mut self, now: Moment, error: &Error) {
        self.row.failures += 1;
        let longest = error.kind().longest_cooldown();
        let first = Duration::from_secs(1);
        self.row.cool_until = now.monotonic + backoff::doubled(first, self.row.failures, longest);
        self.row.acquisitions = self.acquisitions();
    }

    /// Checks a token from the cache: it must not have ended by the server's record or by either
    /// clock. If only the version was checked, a step of the clock may be noticed a second late.
    fn check_served(&self, now: Moment, token: &Token, by_word: bool) {
        let issue = self.server.issue(token.access_token.expose());
        let is_noticed = !by_word || now.monotonic > self.stepped.0 + NOTICED_WITHIN;
        let mono = now.monotonic.saturating_sub(issue.at.monotonic);
        let mut wall = now.wall.saturating_sub(issue.at.wall);
        if !is_noticed {
            let before = now.monotonic.saturating_add(self.stepped.1);
            wall = wall.min(before.saturating_sub(issue.at.wall));
        }
        let end = usable(issue.lifetime);
        // The timer that changes the version fires at the end of the millisecond.
        let end = end.saturating_add(if by_word { ALARM } else { Duration::ZERO });
        assert!(mono < end, "{issue:?} handed out after {mono:?}");
        assert!(wall < end, "{issue:?} handed out after {wall:?} of the wall clock");
        assert_eq!(token.life.granted, issue.lifetime);
    }

    /// Handles a new token: its waiters receive it, unless it has expired.
    fn check_issue(&self, now: Moment, token: &Token, was_over: bool) {
        let issue = self.server.issue(token.access_token.expose());
        let age = now.since(issue.at);
        assert_eq!(was_over, age >= issue.lifetime, "{issue:?} arrived after {age:?}");
    }

    /// Checks a caller that gets no token immediately: no suitable token may be held.
    fn check_loss(&self, now: Moment) {
        if let Some(held) = &self.held {
            assert!(held.remaining(now).is_zero(), "a valid token was lost: {held:?}");
        }
    }

    /// Checks that no token is requested during a cool-down. A success that has landed but was not
    /// handled yet has ended it.
    fn check_cooldown(&self) {
        if self.now() < self.row.cool_until && self.world.landings.is_empty() {
            assert!(
                self.acquisitions() <= self.row.acquisitions,
                "an acquisition within the cool-down"
            );
        }
    }

    /// The length of the window so far, in seconds.
    fn span(&self) -> f64 {
        self.now().saturating_sub(self.window.start).as_secs_f64()
    }

    pub(super) fn begin_window(&mut self, is_calm: bool) {
        self.end_window(false);
        self.window.is_calm = is_calm;
    }

    pub(super) fn end_window_after(&mut self, seconds: f64, is_calm: bool) {
        if self.span() >= seconds {
            self.end_window(true);
            self.window.is_calm = is_calm;
        }
    }

    /// Checks how many requests were sent, and which resources remain.
    fn end_window(&mut self, is_whole: bool) {
        let (requests, least) = self.server.take_counts();
        let acquisitions = self.acquisitions();
        let started = acquisitions - self.window.acquisitions;
        let span = self.span();
        let soft = soft(least).as_secs_f64().max(0.5);
        let regular = (span / (0.91 * soft)).floor() + 2.0;
        let window = &self.window;
        if window.is_calm {
            let hours = span / super::HOUR;
            assert_eq!(window.failures, 0);
            assert!(requests as f64 <= regular, "{requests} requests in {hours} h");
            if is_whole {
                let rate = requests as f64 / hours;
                self.counts.most_requests_an_hour = self.counts.most_requests_an_hour.max(rate);
            }
        } else {
            let most = regular + window.causes as f64 + window.failures as f64;
            assert!(started <= most, "{started} acquisitions, {most} causes");
            // Three attempts and one with another secret; some began before the window.
            assert!(requests as f64 <= 4.0 * (started + 2.0), "{requests} in {started}");
        }
        self.window = Window {
            start: self.now(),
            acquisitions,
            failures: 0,
            causes: 0,
            is_calm: window.is_calm,
        };
        for (_, line) in self.world.sink.lines.lock().drain(..) {
            assert!(!line.contains("secret-") && !line.contains("token-"), "{line}");
        }
        self.check_left_overs();
    }

    fn check_left_overs(&self) {
        for (flight, _, since) in &self.waiting {
            let waited = self.now().saturating_sub(*since);
            assert!(waited <= LONGEST_WAIT, "{flight:?} does not land: {waited:?}");
        }
        // One task for the timers and one for each flight. One transport for the test, one for the
        // current configuration, and at most one for each flight of a former configuration.
        let tasks = 1 + self.under_way();
        let former = self.outdated_under_way;
        let transports = Arc::strong_count(&self.world.transport);
        assert!((2..=2 + former).contains(&transports), "{transports} with {former} former");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
    }

    pub(super) fn counts(&self) -> &SoakCounts {
        &self.counts
    }

    pub(super) async fn finish(mut self) -> SoakCounts {
        self.end_window(false);
        self.world.manager.close();
        self.rest(Duration::from_mins(1)).await;
        assert_eq!(Arc::strong_count(&self.world.transport), 1);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
        self.counts
    }
}

fn check_documented(error: &Error) {
    assert!(DOCUMENTED.contains(&error.kind()), "{error:?}");
}

/// The part of its lifetime in which a token is handed out.
fn usable(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(Duration::from_secs(1).min(lifetime / 4))
}

/// The part of its lifetime after which a token is due for replacement.
fn soft(lifetime: Duration) -> Duration {
    let buffer = config().expiry_buffer.min(lifetime / 2);
    usable(lifetime).min(lifetime.saturating_sub(buffer))
}
