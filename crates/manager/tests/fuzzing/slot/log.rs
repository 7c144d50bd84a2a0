//! The log of a slot. For each answer, the model reads the log again from beginning to end.

use manager::error::ErrorKind;
use manager::slot::Storage;

use super::facts::{Entry, Fact, LUCK, ModelFailure, ModelToken, Ns, SECOND, Time};

/// The ages at which the held token is due for replacement.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The age from which a wake starts a refresh, if the token is in use.
    pub(crate) early: Ns,
    /// The age from which a call starts a refresh.
    pub(crate) due: Ns,
    /// Whether a wake starts a refresh even if the token is not in use.
    pub(crate) is_pressing: bool,
}

/// A held token.
#[derive(Clone, Copy)]
pub(crate) struct HeldToken {
    pub(crate) token: ModelToken,
    /// The number of the entry that granted the token.
    granted: usize,
    /// The number of the first entry after the adoption of the token.
    pub(crate) since: usize,
}

/// A successor that has not settled.
#[derive(Clone, Copy)]
pub(crate) struct ModelSuccessor {
    pub(crate) token: ModelToken,
    pub(crate) granted: usize,
    pub(crate) arrival: Time,
    /// Half of the time that the held token had left when the successor arrived.
    pub(crate) longest: Ns,
}

impl ModelSuccessor {
    pub(crate) fn settles_in(&self, now: Time) -> Ns {
        let by_age = 5 * SECOND - self.token.age(now);
        by_age.min(self.longest - now.after(self.arrival)).max(0)
    }
}

/// The held token and its successor at one time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tokens {
    pub(crate) held: Option<HeldToken>,
    pub(crate) successor: Option<ModelSuccessor>,
}

impl Tokens {
    fn adopt(&mut self, since: usize) {
        let held = |ModelSuccessor { token, granted, .. }| HeldToken {
            token,
            granted,
            since,
        };
        self.held = self.successor.take().map(held);
    }

    /// Applies the changes that time alone causes: a successor settles, or a held token expires.
    fn settle(&mut self, now: Time, since: usize) {
        let is_over = |held: &HeldToken| held.token.left(now) == 0;
        if let (Some(held), Some(successor)) = (&self.held, &self.successor)
            && (is_over(held) || successor.settles_in(now) == 0)
        {
            if successor.token.left(now) >= held.token.left(now) {
                self.adopt(since);
            } else {
                self.successor = None;
            }
        }
        self.held = self.held.filter(|held| !is_over(held));
    }
}

/// The failures since the last success or change of the configuration.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) count: u32,
    pub(crate) at: Time,
    pub(crate) failure: ModelFailure,
    pub(crate) jitter: Ns,
}

impl Row {
    pub(crate) fn cool_down(&self) -> Ns {
        let (first, longest) = match self.failure.kind {
            ErrorKind::OAuth | ErrorKind::Credential | ErrorKind::Tls => (SECOND, 30 * SECOND),
            _ => (SECOND / 2, 5 * SECOND),
        };
        let mut base = first;
        for _ in 1..self.count.min(10) {
            base = (base * 2).min(longest);
        }
        let lengthened = base + base * self.jitter / (4 * LUCK);
        let asked = self.failure.retry_after.unwrap_or(0).min(30 * SECOND);
        lengthened.max(asked)
    }

    pub(crate) fn left(&self, now: Time) -> Ns {
        (self.cool_down() - now.after(self.at)).max(0)
    }

    pub(crate) fn retry_after(&self, now: Time) -> Ns {
        let whole = self.cool_down().max(self.failure.retry_after.unwrap_or(0));
        (whole - now.after(self.at)).max(0)
    }
}

/// The events, in order.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    in_background_at_first: bool,
    entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn new(in_background: bool) -> Self {
        Self {
            in_background_at_first: in_background,
            entries: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, at: Time, fact: Fact) {
        self.entries.push(Entry { at, fact });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.has(0, |fact| matches!(fact, Fact::Closed))
    }

    /// Returns the flights that have not landed, with their start times. The list omits flights of
    /// a former configuration, which land in the slot that launched them.
    pub(crate) fn in_the_air(&self) -> Vec<(u32, Time)> {
        let launched = self.entries.iter().filter_map(|entry| match entry.fact {
            Fact::Launched { flight, .. } => Some((flight, entry.at)),
            _ => None,
        });
        launched
            .filter(|(flight, _)| !self.has_landed(*flight) && !self.is_outdated(*flight))
            .collect()
    }

    /// Returns the flight that callers join: the last one, unless it landed or was detached.
    pub(crate) fn current(&self) -> Option<u32> {
        let (index, flight) = self.last(|entry| match entry.fact {
            Fact::Launched { flight, .. } => Some(flight),
            _ => None,
        })?;
        let is_detached = self.has(index, |fact| {
            matches!(fact, Fact::Dropped | Fact::Cleared | Fact::Closed | Fact::Configured { .. })
        });
        (!is_detached && !self.has_landed(flight)).then_some(flight)
    }

    fn has_landed(&self, landed: u32) -> bool {
        self.has(0, |fact| match fact {
            Fact::Granted { flight, .. } | Fact::Failed { flight, .. } => flight == landed,
            _ => false,
        })
    }

    /// Whether the slot launched the flight before the last change of the configuration.
    fn is_outdated(&self, outdated: u32) -> bool {
        let new_flight = self.last(|entry| match entry.fact {
            Fact::Launched { flight, .. } => (flight == outdated).then_some(()),
            _ => None,
        });
        let new_flight = new_flight.map_or(0, |(index, ())| index);
        self.has(new_flight, |fact| matches!(fact, Fact::Configured { .. }))
    }

    pub(crate) fn is_background(&self, asked: u32) -> bool {
        self.has(0, |fact| match fact {
            Fact::Launched {
                flight,
                is_background,
            } => is_background && flight == asked,
            _ => false,
        })
    }

    /// Returns the largest minimum that a waiter of this flight requested.
    pub(crate) fn minimum(&self, asked: u32) -> Option<Ns> {
        let minima = self.entries.iter().filter_map(|entry| match entry.fact {
            Fact::Awaited { flight, minimum } if flight == asked => minimum,
            _ => None,
        });
        minima.max()
    }

    /// Whether a caller waits for this flight.
    pub(crate) fn is_awaited(&self, asked: u32) -> bool {
        self.has(0, |fact| matches!(fact, Fact::Awaited { flight, .. } if flight == asked))
    }

    pub(crate) fn held(&self, now: Time) -> Option<HeldToken> {
        self.tokens(now).held
    }

    /// Returns the tokens held at `now`: the held token and its successor. Before each entry, and
    /// at `now`, applies the changes that time alone causes: a successor settles, or a held token
    /// expires.
    pub(crate) fn tokens(&self, now: Time) -> Tokens {
        let mut tokens = Tokens::default();
        for (index, Entry { at, fact }) in self.entries.iter().enumerate() {
            tokens.settle(*at, index);
            let next = index + 1;
            match *fact {
                Fact::Granted { token, storage, .. } => match (storage, tokens.held) {
                    (Storage::Kept, _) => {
                        tokens = Tokens {
                            held: Some(HeldToken {
                                token,
                                granted: index,
                                since: next,
                            }),
                            successor: None,
                        };
                    }
                    (Storage::Settling, Some(held)) => {
                        tokens.successor = Some(ModelSuccessor {
                            token,
                            granted: index,
                            arrival: *at,
                            longest: held.token.left(*at) / 2,
                        });
                        tokens.settle(*at, next);
                    }
                    _ => {}
                },
                Fact::Adopted | Fact::Dropped => tokens.adopt(next),
                Fact::Cleared | Fact::Closed => tokens = Tokens::default(),
                Fact::Configured { .. } => tokens.successor = None,
                _ => {}
            }
        }
        tokens.settle(now, self.len());
        tokens
    }

    pub(crate) fn is_of_another_configuration(&self, held: &HeldToken) -> bool {
        self.has(held.since, |fact| match fact {
            Fact::Configured { changes_grant, .. } => changes_grant,
            _ => false,
        })
    }

    pub(crate) fn plan(&self, held: &HeldToken) -> Plan {
        let token = held.token;
        let mut plan = Plan {
            // Between 91 % and 100 % of the age at which the token becomes stale.
            early: token.staleness() * (91 * LUCK + 9 * self.jitter(held.granted)) / (100 * LUCK),
            due: token.staleness(),
            is_pressing: false,
        };
        for entry in &self.entries[held.since..] {
            match entry.fact {
                Fact::Granted {
                    is_current: true,
                    storage,
                    ..
                } => {
                    if matches!(storage, Storage::NotKept | Storage::Expired) {
                        let half = token.age(entry.at) + token.left(entry.at) / 2;
                        (plan.early, plan.due) = (half, half);
                    }
                    plan.is_pressing = false;
                }
                Fact::Failed {
                    flight,
                    is_current: true,
                    ..
                } => plan.is_pressing |= self.is_background(flight),
                Fact::Configured {
                    changes_grant: true,
                    ..
                } => (plan.early, plan.due, plan.is_pressing) = (0, 0, true),
                _ => {}
            }
        }
        plan
    }

    pub(crate) fn jitter(&self, granted: usize) -> Ns {
        match self.entries[granted].fact {
            Fact::Granted { jitter, .. } => jitter,
            _ => 0,
        }
    }

    /// Returns the first entry after the landing that started the pause, and the age of the held
    /// token until which a missed minimum causes no request.
    pub(crate) fn pause(&self, held: &HeldToken) -> (usize, Ns) {
        let token = held.token;
        let is_kept_at_once = held.since == held.granted + 1;
        let first = if is_kept_at_once {
            held.granted
        } else {
            held.since
        };
        let landings = self.entries.iter().enumerate().skip(first).rev();
        let mut pauses = landings.filter_map(|(index, entry)| {
            let Fact::Granted {
                flight,
                is_current: true,
                ..
            } = entry.fact
            else {
                return None;
            };
            let spare = token.left(entry.at) - self.minimum(flight)?;
            // For a new token, the pause counts from its birth. If the held token stayed, it counts
            // from the landing.
            let is_new = index == held.granted;
            let start = if is_new { 0 } else { token.age(entry.at) };
            let is_barely_met = spare < token.lifetime / 10;
            is_barely_met.then_some((index + 1, start + (token.lifetime / 10).max(5 * SECOND)))
        });
        pauses.next().unwrap_or((held.since, 0))
    }

    /// Whether the slot has warned a caller that the held token misses a minimum, since the slot
    /// adopted the token or the pause began.
    pub(crate) fn has_warned(&self, held: &HeldToken) -> bool {
        self.has(self.pause(held).0, |fact| matches!(fact, Fact::Warned))
    }

    /// Returns the row of failures up to the last entry, unless a success or a change of the
    /// configuration ended it.
    pub(crate) fn row(&self) -> Option<Row> {
        let mut row: Option<Row> = None;
        for entry in self.entries.iter().rev() {
            match entry.fact {
                Fact::Granted { .. } | Fact::Configured { .. } => break,
                Fact::Failed {
                    failure,
                    jitter,
                    is_last: true,
                    ..
                } => match &mut row {
                    Some(row) => row.count += 1,
                    None => {
                        row = Some(Row {
                            count: 1,
                            at: entry.at,
                            failure,
                            jitter,
                        });
                    }
                },
                _ => {}
            }
        }
        row
    }

    pub(crate) fn is_cooling(&self, now: Time) -> bool {
        self.row().is_some_and(|row| row.left(now) > 0)
    }

    /// Whether the slot gave up a token, or the flight for one, since it last stored a token.
    pub(crate) fn was_dropped(&self) -> bool {
        let last = self.last(|entry| match entry.fact {
            Fact::Granted {
                storage: Storage::Kept | Storage::Settling,
                ..
            } => Some(false),
            Fact::Dropped
            | Fact::Cleared
            | Fact::Configured {
                changes_grant: true,
                ..
            } => Some(true),
            _ => None,
        });
        last.is_some_and(|(_, was_dropped)| was_dropped)
    }

    pub(crate) fn is_in_background(&self) -> bool {
        let change = self.last(|entry| match entry.fact {
            Fact::Configured { in_background, .. } => Some(in_background),
            _ => None,
        });
        change.map_or(self.in_background_at_first, |(_, in_background)| in_background)
    }

    /// Returns the time of the last background refresh, unless the configuration has changed since.
    pub(crate) fn last_background(&self) -> Option<Time> {
        let last = self.last(|entry| match entry.fact {
            Fact::Launched {
                is_background: true,
                ..
            } => Some(Some(entry.at)),
            Fact::Configured { .. } => Some(None),
            _ => None,
        });
        last.and_then(|(_, at)| at)
    }

    pub(crate) fn refresh_spacing_left(&self, now: Time) -> Ns {
        self.last_background()
            .map_or(0, |last| (SECOND - now.after(last)).max(0))
    }

    pub(crate) fn launches(&self) -> u32 {
        let launches = self.entries.iter().filter_map(|entry| match entry.fact {
            Fact::Launched { flight, .. } => Some(flight),
            _ => None,
        });
        launches.max().unwrap_or(0)
    }

    fn has(&self, from: usize, is_it: impl Fn(Fact) -> bool) -> bool {
        self.entries[from..].iter().any(|entry| is_it(entry.fact))
    }

    /// Returns the last entry for which `pick` returns a value: its number, and the value.
    fn last<R>(&self, pick: impl Fn(&Entry) -> Option<R>) -> Option<(usize, R)> {
        let mut entries = self.entries.iter().enumerate().rev();
        entries.find_map(|(index, entry)| pick(entry).map(|found| (index, found)))
    }
}
