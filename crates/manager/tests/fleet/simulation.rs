//! Simulates a fleet that shares a store: the real slot, entries and circuit, with a simulated
//! server, store and clocks.
//!
//! A replica has one circuit, and a manager for each key. Every manager uses its token all the
//! time. At every event, the simulation checks that no token was used after its life had ended by
//! the server's clock. The simulation omits the limit on concurrent store calls and the retries
//! within a flight: each attempt is a flight, which reads the store first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use manager::clock::Moment;
use manager::error::{Error, ErrorKind};
use manager::slot::schedule::Life;
use manager::slot::{Call, Decision, FlightId, NewFlight, Slot, Token};
use manager::store::circuit::{Circuit, Fault, Operation, Probed};
use manager::store::entry::{EntryKey, StoreKeys};
use oauth::AccessToken;
use stand_ins::scripted::config;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
const CALL_LIMIT: u64 = 250;
const PROBE_INTERVAL: u64 = 5 * SECOND;
const BUFFER: Duration = Duration::from_mins(1);
/// The time between the starts of two replicas during a deployment, and the longest time that a
/// deployment takes.
const START_INTERVAL: u64 = 2 * SECOND;
const LONGEST_DEPLOYMENT: u64 = 10 * MINUTE;

/// A period of the simulated time, in ms.
type Period = Range<u64>;

/// The conditions of a simulation.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) replicas: usize,
    /// The number of tokens that each replica uses.
    pub(crate) keys: usize,
    /// The simulated time.
    pub(crate) length: u64,
    /// The lifetime of tokens.
    pub(crate) life: u64,
    pub(crate) shares: bool,
    /// The largest error of a clock.
    pub(crate) clock_error: i64,
    /// How far one replica's clock is ahead.
    pub(crate) wrong_clock: i64,
    /// Whether all replicas start within a second instead of one after the other.
    pub(crate) starts_at_once: bool,
    /// The times at which all replicas restart, one after the other.
    pub(crate) restarts: Vec<u64>,
    pub(crate) store_outage: Period,
    pub(crate) server_outage: Period,
    /// One in this many calls to the store fails.
    pub(crate) loss: u64,
}

impl Scenario {
    /// A fleet of this many replicas without faults.
    pub(crate) fn of(replicas: usize) -> Self {
        Self {
            replicas,
            ..Self::default()
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            replicas: 10,
            keys: 1,
            length: DAY,
            life: 300 * SECOND,
            shares: true,
            clock_error: 2_000,
            wrong_clock: 0,
            starts_at_once: false,
            restarts: Vec::new(),
            store_outage: 0..0,
            server_outage: 0..0,
            loss: 0,
        }
    }
}

/// The cost of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) logins: u64,
    /// The maximum number of logins in one minute.
    pub(crate) busiest_minute: u64,
    /// The time that callers had to wait, as a fraction of the time of all managers.
    pub(crate) waiting: f64,
    /// The time with a stale token, as a fraction of the time of all managers.
    pub(crate) stale: f64,
}

enum Event {
    Restart(usize),
    /// A probe of the store by this process of a replica. An ended process handles no events.
    Probe(usize, u32),
    /// A step of a manager in this process.
    Manager(usize, u32, Step),
    Stored(usize, String, u64),
}

#[derive(Clone, Copy)]
enum Step {
    /// The first caller.
    Start,
    Wake(u64),
    /// The store has answered, or the call has timed out.
    Read(FlightId, bool),
    /// The server has granted a token for the request sent at this time, or is down.
    Answer(FlightId, u64, bool),
}

/// A time, a number and an event. Events at the same time happen in the order of their numbers.
struct Scheduled(u64, u64, Event);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

#[derive(Default)]
struct Replica {
    /// How far the clock is ahead.
    error: i64,
    circuit: Circuit,
    /// The number of the process; 0 before the first one starts.
    process: u32,
}

struct Manager {
    slot: Slot,
    replica: usize,
    key: usize,
    /// The number of the last wake-up; earlier ones do not count.
    wake: u64,
    /// The token that callers have used since the last event, and the time of that event.
    used: Option<Arc<Token>>,
    since: u64,
}

struct Key {
    name: EntryKey,
    /// The value in the store, and when it ends.
    entry: Option<(String, u64)>,
}

pub(crate) struct Fleet {
    scenario: Scenario,
    secret: StoreKeys,
    rng: Rng,
    now: u64,
    number: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    replicas: Vec<Replica>,
    /// The managers of the first replica, one for each key, then those of the second replica.
    managers: Vec<Manager>,
    keys: Vec<Key>,
    minute: u64,
    minute_logins: u64,
    outcome: Outcome,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn new_slot(scenario: &Scenario) -> Slot {
    Slot::new(true).sharing(scenario.shares)
}

impl Fleet {
    pub(crate) fn run(scenario: Scenario, seed: u64) -> Outcome {
        let mut fleet = Self::new(scenario, seed);
        fleet.schedule_starts();
        while let Some(Reverse(Scheduled(time, _, event))) = fleet.queue.pop() {
            if time > fleet.scenario.length {
                break;
            }
            fleet.now = time;
            fleet.handle(event);
        }
        let whole = (fleet.scenario.length * fleet.managers.len() as u64) as f64;
        fleet.outcome.waiting /= whole;
        fleet.outcome.stale /= whole;
        fleet.outcome
    }

    fn new(scenario: Scenario, seed: u64) -> Self {
        let secret = StoreKeys::derive("a secret of all replicas").unwrap();
        let mut rng = Rng::with_seed(seed);
        let mut config = config();
        let keys = (0..scenario.keys).map(|key| {
            config.grant.client_id = format!("client-{key}");
            Key {
                name: secret.entry_key(&config, &config.grant),
                entry: None,
            }
        });
        let keys = keys.collect();
        let replicas = (0..scenario.replicas).map(|replica| Replica {
            error: rng.i64(-scenario.clock_error..=scenario.clock_error)
                + if replica == 0 {
                    scenario.wrong_clock
                } else {
                    0
                },
            ..Replica::default()
        });
        let replicas = replicas.collect();
        let managers = (0..scenario.replicas * scenario.keys).map(|index| Manager {
            slot: new_slot(&scenario),
            replica: index / scenario.keys,
            key: index % scenario.keys,
            wake: 0,
            used: None,
            since: 0,
        });
        Self {
            managers: managers.collect(),
            secret,
            rng,
            now: 0,
            number: 0,
            queue: BinaryHeap::new(),
            replicas,
            keys,
            minute: 0,
            minute_logins: 0,
            outcome: Outcome::default(),
            scenario,
        }
    }

    fn schedule_starts(&mut self) {
        let replicas = self.scenario.replicas;
        let interval = START_INTERVAL.min(LONGEST_DEPLOYMENT / replicas as u64);
        let first = (0, !self.scenario.starts_at_once);
        let restarts: Vec<_> = self
            .scenario
            .restarts
            .iter()
            .map(|at| (*at, true))
            .collect();
        for (start, is_rolling) in restarts.into_iter().chain([first]) {
            for replica in 0..replicas {
                let wait = if is_rolling {
                    interval * replica as u64
                } else {
                    0
                };
                self.push(start + wait, Event::Restart(replica));
            }
        }
    }

    fn push(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.queue
            .push(Reverse(Scheduled(time, self.number, event)));
    }

    /// Returns the time by the clock of a manager's replica.
    fn moment(&self, index: usize) -> Moment {
        let error = self.replicas[self.managers[index].replica].error;
        Moment::new(ms(DAY + self.now), ms((20_000 * DAY + self.now).saturating_add_signed(error)))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Restart(replica) => self.restart(replica),
            Event::Probe(replica, process) => {
                if self.replicas[replica].process == process {
                    self.probe(replica);
                }
            }
            Event::Manager(index, process, step) => {
                if self.process_of(index) == process {
                    self.handle_step(index, step);
                }
            }
            Event::Stored(key, value, end) => self.keys[key].entry = Some((value, end)),
        }
    }

    /// Replaces the process of a replica. Its managers have their first callers within a second.
    fn restart(&mut self, replica: usize) {
        let first = replica * self.scenario.keys;
        for index in first..first + self.scenario.keys {
            if self.replicas[replica].process > 0 {
                self.check(index);
            }
            self.managers[index].slot = new_slot(&self.scenario);
        }
        self.replicas[replica].circuit = Circuit::default();
        self.replicas[replica].process += 1;
        for index in first..first + self.scenario.keys {
            let wait = self.rng.u64(0..SECOND);
            self.plan(wait, index, Step::Start);
        }
    }

    fn handle_step(&mut self, index: usize, step: Step) {
        match step {
            Step::Start => {
                self.managers[index].since = self.now;
                self.step(index);
            }
            Step::Wake(wake) => {
                if self.managers[index].wake == wake {
                    self.check(index);
                    self.step(index);
                }
            }
            Step::Read(flight, is_reached) => self.read(index, flight, is_reached),
            Step::Answer(flight, sent, is_granted) => self.answer(index, flight, sent, is_granted),
        }
    }

    fn process_of(&self, index: usize) -> u32 {
        self.replicas[self.managers[index].replica].process
    }

    /// Plans a step of a manager's current process.
    fn plan(&mut self, wait: u64, index: usize, step: Step) {
        let process = self.process_of(index);
        self.push(self.now + wait, Event::Manager(index, process, step));
    }

    /// Counts the time since a manager's last event, and checks the token that callers have used
    /// since.
    fn check(&mut self, index: usize) {
        let now = self.moment(index);
        let manager = &mut self.managers[index];
        let passed = (self.now - manager.since) as f64;
        manager.since = self.now;
        let Some(token) = manager.used.as_ref() else {
            self.outcome.waiting += passed;
            return;
        };
        let granted: u64 = token.access_token.expose().parse().unwrap();
        // A replica whose clock is further behind may use an expired token until an API rejects it.
        let is_right = self.replicas[manager.replica].error >= -self.scenario.clock_error;
        let is_alive = self.now <= granted + self.scenario.life;
        assert!(is_alive || !is_right, "used for {} ms", self.now - granted);
        if token.age(now) > token.life.soft() {
            self.outcome.stale += passed;
        }
    }

    /// Starts the flight that a caller needs or that is due, and plans the next wake-up.
    fn step(&mut self, index: usize) {
        let now = self.moment(index);
        let manager = &mut self.managers[index];
        manager.slot.advance(now);
        let new_flight = if manager.slot.token(now).is_none() {
            match manager.slot.decide(now, Call::Any) {
                Decision::Wait { new_flight, .. } => new_flight,
                _ => None,
            }
        } else {
            manager.slot.start_due_refresh(now, true)
        };
        if let Some(new_flight) = new_flight {
            self.fly(index, new_flight);
        }
        let manager = &mut self.managers[index];
        manager.slot.advance(now);
        manager.wake += 1;
        let wake = manager.wake;
        let wait = manager.slot.next_change(now).unwrap_or(ms(SECOND));
        // A timer fires at the end of its millisecond.
        let wait = u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap();
        manager.used = manager.slot.token(now).cloned();
        self.plan(wait.max(1), index, Step::Wake(wake));
    }

    fn is_store_up(&mut self) -> bool {
        let is_lost = self.scenario.loss > 0 && self.rng.u64(0..self.scenario.loss) == 0;
        !self.scenario.store_outage.contains(&self.now) && !is_lost
    }

    fn fly(&mut self, index: usize, new_flight: NewFlight) {
        let NewFlight {
            flight,
            reads_store,
            ..
        } = new_flight;
        let is_open = self.circuit(index).is_open();
        if !self.scenario.shares || !reads_store || is_open {
            return self.request(index, flight);
        }
        let is_reached = self.is_store_up();
        let wait = if is_reached {
            self.rng.u64(1..=5)
        } else {
            CALL_LIMIT
        };
        self.plan(wait, index, Step::Read(flight, is_reached));
    }

    fn read(&mut self, index: usize, flight: FlightId, is_reached: bool) {
        if !is_reached {
            self.fail(index, Operation::Get);
            return self.request(index, flight);
        }
        let now = self.moment(index);
        let Key { name, entry } = &self.keys[self.managers[index].key];
        let value = entry.as_ref().filter(|(_, end)| *end > self.now);
        let stored = value.and_then(|(value, _)| self.secret.open(name, value));
        let token = stored.and_then(|stored| stored.into_token(now, BUFFER, None));
        self.check(index);
        let jitter = self.rng.f64();
        let slot = &mut self.managers[index].slot;
        let landed = token.and_then(|token| slot.land_stored(now, flight, token, jitter));
        if landed.is_none() {
            self.request(index, flight);
        }
        self.step(index);
    }

    fn circuit(&mut self, index: usize) -> &mut Circuit {
        &mut self.replicas[self.managers[index].replica].circuit
    }

    fn fail(&mut self, index: usize, operation: Operation) {
        let failed = self.circuit(index).failed(operation, Fault::TimedOut);
        if failed.opens {
            self.plan_probe(self.managers[index].replica);
        }
    }

    fn plan_probe(&mut self, replica: usize) {
        let process = self.replicas[replica].process;
        self.push(self.now + PROBE_INTERVAL, Event::Probe(replica, process));
    }

    fn probe(&mut self, replica: usize) {
        let is_up = self.is_store_up();
        if self.replicas[replica].circuit.probed(is_up) != Probed::Closes {
            self.plan_probe(replica);
        }
    }

    fn request(&mut self, index: usize, flight: FlightId) {
        self.managers[index].slot.note_sending(flight);
        let is_granted = !self.scenario.server_outage.contains(&self.now);
        if is_granted {
            self.outcome.logins += 1;
            let minute = self.now / MINUTE;
            self.minute_logins = if self.minute == minute {
                self.minute_logins + 1
            } else {
                1
            };
            self.minute = minute;
            let busiest = &mut self.outcome.busiest_minute;
            *busiest = (*busiest).max(self.minute_logins);
        }
        let latency = self.rng.u64(20..=60);
        self.plan(latency, index, Step::Answer(flight, self.now, is_granted));
    }

    fn answer(&mut self, index: usize, flight: FlightId, sent: u64, is_granted: bool) {
        self.check(index);
        let now = self.moment(index);
        let jitter = self.rng.f64();
        let result = if is_granted {
            Ok(self.granted(index, sent))
        } else {
            Err(Error::new(ErrorKind::Network, "the server is down"))
        };
        let slot = &mut self.managers[index].slot;
        let outcome = slot.land(now, flight, result, jitter);
        if let (true, Ok(token)) = (self.scenario.shares, outcome.result) {
            self.write(index, &token);
        }
        self.step(index);
    }

    /// Returns a token as its replica sees it. The server states the expiry in whole seconds.
    fn granted(&self, index: usize, sent: u64) -> Token {
        let ago = ms(self.now - sent);
        let now = self.moment(index);
        let life = ms(self.scenario.life);
        Token {
            access_token: AccessToken::new(sent.to_string()).unwrap(),
            dpop_key: None,
            scope: None,
            sent: Moment::new(now.monotonic().saturating_sub(ago), now.wall().saturating_sub(ago)),
            expiry: Some(Duration::from_secs(20_000 * DAY / SECOND + sent / SECOND) + life),
            life: Life::new(life, BUFFER),
        }
    }

    fn write(&mut self, index: usize, token: &Token) {
        if self.circuit(index).is_open() {
            return;
        }
        if !self.is_store_up() {
            return self.fail(index, Operation::Set);
        }
        let remaining = u64::try_from(token.remaining(self.moment(index)).as_millis()).unwrap();
        let key = self.managers[index].key;
        let value = self.secret.seal(&self.keys[key].name, token).unwrap();
        let wait = self.rng.u64(1..=5);
        self.push(self.now + wait, Event::Stored(key, value, self.now + remaining));
    }
}
