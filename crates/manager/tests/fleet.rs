//! A day of a fleet that shares a store, in simulated time: the real slot, entries and circuit, with
//! a simulated server, store and clocks. `FLEET_LONG=1` runs more keys; `--nocapture` prints the
//! figures.
//!
//! Every replica uses its token all the time, and checks at every event that no token was used after
//! the end of its life by the clock of the server.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use manager::clock::Moment;
use manager::config::Config;
use manager::error::{Error, ErrorKind};
use manager::slot::schedule::Life;
use manager::slot::{Call, Decision, FlightId, NewFlight, Slot, Token};
use manager::store::circuit::{Circuit, Fault, Operation, Probed};
use manager::store::entry::{EntryKey, StoreKeys};
use oauth::AccessToken;
use stand_ins::scripted::config;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const CALL_LIMIT: u64 = 250;
const PROBE_INTERVAL: u64 = 5 * SECOND;
const BUFFER: Duration = Duration::from_mins(1);

/// A period of the day, in ms.
type Period = Range<u64>;

/// The circumstances of a fleet.
#[derive(Clone)]
struct Day {
    replicas: usize,
    keys: usize,
    /// The lifetime of tokens.
    life: u64,
    shares: bool,
    /// The largest error of a clock.
    clock_error: i64,
    /// How far the clock of one replica is ahead.
    wrong_clock: i64,
    /// The times at which all replicas restart, one after the other.
    restarts: Vec<u64>,
    store_outage: Period,
    server_outage: Period,
    /// One of this many calls to the store fails.
    loss: u64,
}

impl Default for Day {
    fn default() -> Self {
        Self {
            replicas: 10,
            keys: 1,
            life: 300 * SECOND,
            shares: true,
            clock_error: 2_000,
            wrong_clock: 0,
            restarts: Vec::new(),
            store_outage: 0..0,
            server_outage: 0..0,
            loss: 0,
        }
    }
}

/// What a day cost.
#[derive(Debug, Default)]
struct Outcome {
    logins: u64,
    /// The most logins in one minute.
    busiest_minute: u64,
    /// The time that callers had to wait, as a fraction of the day of all replicas.
    waiting: f64,
    /// The time with a stale token, as a fraction of the day of all replicas.
    stale: f64,
}

enum Event {
    Restart(usize),
    /// A replica, its process and what happens to it. A process that has ended takes no event.
    Replica(usize, u32, Step),
    Stored(EntryKey, String, u64),
}

#[derive(Clone, Copy)]
enum Step {
    Wake(u64),
    Probe,
    /// The store has answered, or not in time.
    Read(FlightId, bool),
    /// The server has granted a token for the request sent at this time, or is down.
    Answer(FlightId, u64, bool),
}

struct Replica {
    slot: Slot,
    key: EntryKey,
    /// How far the clock is ahead.
    error: i64,
    circuit: Circuit,
    /// The number of the last wake-up; earlier ones do not count.
    wake: u64,
    /// The number of the process; 0 before the first one starts.
    process: u32,
    /// The token that callers have used since the last event, and the time of that event.
    used: Option<Arc<Token>>,
    since: u64,
}

struct Fleet {
    day: Day,
    config: Config,
    keys: StoreKeys,
    rng: Rng,
    now: u64,
    number: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: HashMap<u64, Event>,
    replicas: Vec<Replica>,
    store: HashMap<String, (String, u64)>,
    minute: u64,
    minute_logins: u64,
    outcome: Outcome,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Fleet {
    fn run(day: Day, seed: u64) -> Outcome {
        let (config, keys) = (config(), StoreKeys::derive("a secret of all replicas").unwrap());
        let mut fleet = Self {
            config,
            keys,
            rng: Rng::with_seed(seed),
            now: 0,
            number: 0,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            replicas: Vec::new(),
            store: HashMap::new(),
            minute: 0,
            minute_logins: 0,
            outcome: Outcome::default(),
            day,
        };
        for number in 0..fleet.day.keys {
            let mut config = fleet.config.clone();
            config.grant.client_id = format!("client-{number}");
            let key = fleet.keys.entry_key(&config, &config.grant);
            for place in 0..fleet.day.replicas {
                let wrong = if place == 0 { fleet.day.wrong_clock } else { 0 };
                let largest = fleet.day.clock_error;
                fleet.replicas.push(Replica {
                    slot: Slot::new(true).sharing(fleet.day.shares),
                    key: key.clone(),
                    error: wrong + fleet.rng.i64(-largest..=largest),
                    circuit: Circuit::default(),
                    wake: 0,
                    process: 0,
                    used: None,
                    since: 0,
                });
            }
        }
        for start in fleet
            .day
            .restarts
            .iter()
            .copied()
            .chain([0])
            .collect::<Vec<_>>()
        {
            for index in 0..fleet.replicas.len() {
                // A deployment replaces a replica every two seconds.
                let place = index % fleet.day.replicas;
                let time = start + 2 * SECOND * place as u64 + fleet.rng.u64(0..SECOND);
                fleet.push(time, Event::Restart(index));
            }
        }
        while let Some(Reverse((time, number))) = fleet.queue.pop() {
            if time > DAY {
                break;
            }
            fleet.now = time;
            let event = fleet.events.remove(&number).unwrap();
            fleet.handle(event);
        }
        fleet.finish()
    }

    fn finish(mut self) -> Outcome {
        let whole = (DAY * self.replicas.len() as u64) as f64;
        self.outcome.waiting /= whole;
        self.outcome.stale /= whole;
        self.outcome
    }

    fn push(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse((time, self.number)));
        self.events.insert(self.number, event);
    }

    /// Returns the time by the clock of a replica.
    fn moment(&self, index: usize) -> Moment {
        let error = self.replicas[index].error;
        Moment {
            monotonic: ms(DAY + self.now),
            wall: ms((20_000 * DAY + self.now).saturating_add_signed(error)),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Restart(index) => {
                if self.replicas[index].process > 0 {
                    self.check(index);
                }
                let replica = &mut self.replicas[index];
                replica.slot = Slot::new(true).sharing(self.day.shares);
                replica.circuit = Circuit::default();
                replica.process += 1;
                replica.since = self.now;
                self.step(index);
            }
            Event::Replica(index, process, step) => {
                if self.replicas[index].process == process {
                    self.handle_step(index, step);
                }
            }
            Event::Stored(key, value, end) => {
                self.store.insert(key.as_str().to_owned(), (value, end));
            }
        }
    }

    fn handle_step(&mut self, index: usize, step: Step) {
        match step {
            Step::Wake(wake) => {
                if self.replicas[index].wake == wake {
                    self.check(index);
                    self.step(index);
                }
            }
            Step::Probe => self.probe(index),
            Step::Read(flight, is_reached) => self.read(index, flight, is_reached),
            Step::Answer(flight, sent, is_granted) => self.answer(index, flight, sent, is_granted),
        }
    }

    /// Plans a step of the present process of a replica.
    fn plan(&mut self, wait: u64, index: usize, step: Step) {
        let process = self.replicas[index].process;
        self.push(self.now + wait, Event::Replica(index, process, step));
    }

    /// Counts the time since the last event of a replica, and checks the token that it used
    /// meanwhile.
    fn check(&mut self, index: usize) {
        let now = self.moment(index);
        let replica = &mut self.replicas[index];
        let passed = (self.now - replica.since) as f64;
        replica.since = self.now;
        let Some(token) = replica.used.as_ref() else {
            self.outcome.waiting += passed;
            return;
        };
        let granted: u64 = token.access_token.expose().parse().unwrap();
        // A replica whose clock is further behind may use a token that is over, until an API rejects
        // it.
        let is_right = replica.error >= -self.day.clock_error;
        let is_alive = self.now <= granted + self.day.life;
        assert!(is_alive || !is_right, "used for {} ms", self.now - granted);
        if token.age(now) > token.life.soft {
            self.outcome.stale += passed;
        }
    }

    /// Lets a caller use the token, and starts what is due.
    fn step(&mut self, index: usize) {
        let now = self.moment(index);
        let replica = &mut self.replicas[index];
        replica.slot.advance(now);
        let new_flight = if replica.slot.token(now).is_none() {
            match replica.slot.decide(now, Call::Any) {
                Decision::Wait { new_flight, .. } => new_flight,
                _ => None,
            }
        } else {
            replica.slot.start_due_refresh(now, true)
        };
        if let Some(new_flight) = new_flight {
            self.fly(index, new_flight);
        }
        let replica = &mut self.replicas[index];
        replica.slot.advance(now);
        replica.wake += 1;
        let wake = replica.wake;
        let wait = replica.slot.next_change(now).unwrap_or(ms(SECOND));
        // A timer fires at the end of its millisecond.
        let wait = u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap();
        replica.used = replica.slot.token(now).cloned();
        self.plan(wait.max(1), index, Step::Wake(wake));
    }

    fn is_store_up(&mut self) -> bool {
        let is_lost = self.day.loss > 0 && self.rng.u64(0..self.day.loss) == 0;
        !self.day.store_outage.contains(&self.now) && !is_lost
    }

    fn fly(&mut self, index: usize, new_flight: NewFlight) {
        let NewFlight {
            flight,
            reads_store,
            ..
        } = new_flight;
        let replica = &self.replicas[index];
        if !self.day.shares || !reads_store || replica.circuit.is_open() {
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
        let key = &self.replicas[index].key;
        let value = self
            .store
            .get(key.as_str())
            .filter(|(_, end)| *end > self.now);
        let stored = value.and_then(|(value, _)| self.keys.open(key, value));
        let token = stored.and_then(|stored| stored.into_token(now, BUFFER, None));
        self.check(index);
        let jitter = self.rng.f64();
        let slot = &mut self.replicas[index].slot;
        let landed = token.and_then(|token| slot.land_stored(now, flight, token, jitter));
        if landed.is_none() {
            self.request(index, flight);
        }
        self.step(index);
    }

    fn fail(&mut self, index: usize, operation: Operation) {
        let failed = self.replicas[index]
            .circuit
            .failed(operation, Fault::TimedOut);
        if failed.opens {
            self.plan(PROBE_INTERVAL, index, Step::Probe);
        }
    }

    fn probe(&mut self, index: usize) {
        let is_up = self.is_store_up();
        if self.replicas[index].circuit.probed(is_up) != Probed::Closes {
            self.plan(PROBE_INTERVAL, index, Step::Probe);
        }
    }

    fn request(&mut self, index: usize, flight: FlightId) {
        self.replicas[index].slot.note_sending(flight);
        let is_granted = !self.day.server_outage.contains(&self.now);
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
        let slot = &mut self.replicas[index].slot;
        let outcome = slot.land(now, flight, result, jitter);
        if let (true, Ok(token)) = (self.day.shares, outcome.result) {
            self.write(index, &token);
        }
        self.step(index);
    }

    /// Returns a token as its replica sees it. The server puts the end into it in whole seconds.
    fn granted(&self, index: usize, sent: u64) -> Token {
        let ago = ms(self.now - sent);
        let now = self.moment(index);
        let life = ms(self.day.life);
        Token {
            access_token: AccessToken::new(sent.to_string()).unwrap(),
            dpop_key: None,
            scope: None,
            sent: Moment {
                monotonic: now.monotonic.saturating_sub(ago),
                wall: now.wall.saturating_sub(ago),
            },
            expiry: Some(Duration::from_secs(20_000 * DAY / SECOND + sent / SECOND) + life),
            life: Life::new(life, BUFFER),
        }
    }

    fn write(&mut self, index: usize, token: &Token) {
        if self.replicas[index].circuit.is_open() {
            return;
        }
        if !self.is_store_up() {
            return self.fail(index, Operation::Set);
        }
        let remaining = u64::try_from(token.remaining(self.moment(index)).as_millis()).unwrap();
        let key = self.replicas[index].key.clone();
        let value = self.keys.seal(&key, token).unwrap();
        let wait = self.rng.u64(1..=5);
        self.push(self.now + wait, Event::Stored(key, value, self.now + remaining));
    }
}

/// Runs a day, and prints its figures.
fn run(name: &str, day: Day) -> Outcome {
    let (replicas, keys) = (day.replicas, day.keys);
    let outcome = Fleet::run(day, 1);
    println!(
        "{name:36} | {replicas:4} replicas | {keys:3} keys | {:8} logins | {:5} in the busiest \
         minute | waiting {:.6} | stale {:.5}",
        outcome.logins, outcome.busiest_minute, outcome.waiting, outcome.stale
    );
    outcome
}

fn is_long() -> bool {
    std::env::var_os("FLEET_LONG").is_some()
}

#[test]
fn a_fleet_of_any_size_logs_in_about_as_often_as_one_replica() {
    let one = run(
        "one replica",
        Day {
            replicas: 1,
            ..Day::default()
        },
    );
    let keys = if is_long() { 4 } else { 1 };
    for replicas in [2, 10, 100, 1_000] {
        let shared = run(
            "shared",
            Day {
                replicas,
                keys,
                ..Day::default()
            },
        );
        let ratio = shared.logins as f64 / (one.logins * keys as u64) as f64;
        println!("{replicas} replicas: {ratio:.3} times the logins of one");
        assert!(ratio <= 1.2, "{replicas} replicas: {ratio}");
        assert!(shared.waiting < 1e-5, "{replicas} replicas: {shared:?}");
    }
    let replicas = if is_long() { 1_000 } else { 100 };
    let alone = run(
        "without a store",
        Day {
            replicas,
            shares: false,
            ..Day::default()
        },
    );
    assert!(alone.logins > one.logins * replicas as u64, "the store saves logins");
}

#[test]
fn a_replica_whose_clock_is_wrong_costs_the_others_few_logins() {
    let replicas = 20;
    let calm = run(
        "no wrong clock",
        Day {
            replicas,
            ..Day::default()
        },
    );
    for wrong_clock in [-3_600_000, -100_000, -10_000, 10_000, 100_000, 3_600_000] {
        let name = format!("a clock ahead by {wrong_clock} ms");
        let wrong = run(
            &name,
            Day {
                replicas,
                wrong_clock,
                ..Day::default()
            },
        );
        assert!(wrong.logins < 3 * calm.logins, "{name}: {wrong:?}");
        assert!(wrong.waiting < 1e-5, "{name}: {wrong:?}");
    }
}

#[test]
fn a_rolling_restart_costs_no_login() {
    for replicas in if is_long() { [10, 1_000] } else { [10, 100] } {
        let calm = run(
            "no restart",
            Day {
                replicas,
                ..Day::default()
            },
        );
        let restarts: Vec<_> = (1..20).map(|number| number * HOUR).collect();
        let count = restarts.len() as u64;
        let restarted = run(
            "twenty rolling restarts",
            Day {
                replicas,
                restarts,
                ..Day::default()
            },
        );
        let more = restarted.logins.saturating_sub(calm.logins);
        assert!(more <= count, "{more} logins more with {replicas} replicas");
    }
}

#[test]
fn an_outage_of_the_store_costs_the_logins_of_the_replicas_and_nothing_after_it() {
    let replicas = 100;
    let calm = run(
        "no outage",
        Day {
            replicas,
            ..Day::default()
        },
    );
    let store_outage = 10 * HOUR..10 * HOUR + 10 * MINUTE;
    let outage = run(
        "the store is down for 10 min",
        Day {
            replicas,
            store_outage,
            ..Day::default()
        },
    );
    // Ten minutes are three lives.
    let most = calm.logins + 4 * replicas as u64;
    assert!(outage.logins <= most, "{} instead of {}", outage.logins, calm.logins);
    assert!(outage.waiting < 1e-5, "{outage:?}");
    let lossy = run(
        "one of 100 calls is lost",
        Day {
            replicas,
            loss: 100,
            ..Day::default()
        },
    );
    assert!(lossy.waiting < 1e-5, "{lossy:?}");
}

#[test]
fn an_outage_of_the_server_uses_no_token_after_its_life() {
    let server_outage = 10 * HOUR..10 * HOUR + 20 * MINUTE;
    let replicas = if is_long() { 100 } else { 20 };
    for (name, life) in [("tokens of 300 s", 300), ("tokens of 60 s", 60), ("tokens of 12 s", 12)] {
        let day = Day {
            replicas,
            life: life * SECOND,
            server_outage: server_outage.clone(),
            restarts: vec![2 * HOUR, 10 * HOUR - MINUTE],
            ..Day::default()
        };
        let outcome = run(name, day);
        // The replicas wait for the rest of the outage only.
        assert!(outcome.waiting < 0.0145, "{outcome:?}");
    }
}
