//! The log of a slot, and what can be looked up in it: each time anew, from beginning to end.

use manager::error::ErrorKind;

use super::facts::{Entry, Fact, LUCK, ModelFailure, ModelToken, Ns, SECOND, Time};

/// When the held token is to be replaced.
pub(crate) struct Plan {
    /// From this age on without a caller, if the token is in use.
    pub(crate) early: Ns,
    /// From this age on by a caller.
    pub(crate) due: Ns,
    /// Without a caller though it is not in use.
    pub(crate) is_pressing: bool,
}

/// Failures since the last success or change of the configuration.
pub(crate) struct Row {
    pub(crate) count: u32,
    pub(crate) at: Time,
    pub(crate) failure: ModelFailure,
    pub(crate) jitter: Ns,
}

impl Row {
    pub(crate) fn cooldown(&self) -> Ns {
        let longest = match self.failure.kind {
            ErrorKind::OAuth | ErrorKind::Credential | ErrorKind::Tls => 30 * SECOND,
            _ => 5 * SECOND,
        };
        let mut base = SECOND;
        for _ in 1..self.count.min(10) {
            base = (base * 2).min(longest);
        }
        let lengthened = base + base * self.jitter / (4 * LUCK);
        let asked = self.failure.retry_after.unwrap_or(0).min(30 * SECOND);
        lengthened.max(asked)
    }

    pub(crate) fn left(&self, now: Time) -> Ns {
        (self.cooldown() - now.after(self.at)).max(0)
    }

    pub(crate) fn retry_after(&self, now: Time) -> Ns {
        let whole = self.cooldown().max(self.failure.retry_after.unwrap_or(0));
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

    /// Flights that have not landed, with the time of their start. Those of a former configuration
    /// land in the slot that they were launched from.
    pub(crate) fn in_the_air(&self) -> Vec<(u32, Time)> {
        let launched = self.entries.iter().filter_map(|entry| match entry.fact {
            Fact::Launched { flight, .. } => Some((flight, entry.at)),
            _ => None,
        });
        launched
            .filter(|(flight, _)| !self.has_landed(*flight) && !self.is_outdated(*flight))
            .collect()
    }

    /// The flight that callers join: the last one, unless it landed or was detached.
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

    /// A flight was launched before the last change of the configuration.
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

    /// The largest minimum that a waiter of this flight requested.
    pub(crate) fn minimum(&self, asked: u32) -> Option<Ns> {
        let minima = self.entries.iter().filter_map(|entry| match entry.fact {
            Fact::Awaited { flight, minimum } if flight == asked => Some(minimum),
            _ => None,
        });
        minima.max()
    }

    /// The held token, and where in the log it arrived.
    pub(crate) fn held(&self, now: Time) -> Option<(usize, ModelToken)> {
        self.held_before(self.len())
            .filter(|(_, token)| token.left(now) > 0)
    }

    /// The token that was held when the entry of this number was written, over or not: it is gone
    /// once anybody looked at the clocks when it was over.
    pub(crate) fn held_before(&self, end: usize) -> Option<(usize, ModelToken)> {
        let log = &self.entries[..end];
        let (index, token) = log
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, entry)| match entry.fact {
                Fact::Granted {
                    token,
                    is_kept: true,
                    ..
                } => Some((index, token)),
                _ => None,
            })?;
        let is_gone = log[index + 1..].iter().any(|entry| {
            matches!(entry.fact, Fact::Dropped | Fact::Cleared | Fact::Closed)
                || token.left(entry.at) == 0
        });
        (!is_gone).then_some((index, token))
    }

    pub(crate) fn is_of_another_configuration(&self, arrival: usize) -> bool {
        self.has(arrival, |fact| match fact {
            Fact::Configured { changes_grant, .. } => changes_grant,
            _ => false,
        })
    }

    pub(crate) fn plan(&self, arrival: usize, token: &ModelToken) -> Plan {
        let jitter = match self.entries[arrival].fact {
            Fact::Granted { jitter, .. } => jitter,
            _ => 0,
        };
        let mut plan = Plan {
            // 91 % of the way to staleness, and up to 9 % more.
            early: token.staleness() * (91 * LUCK + 9 * jitter) / (100 * LUCK),
            due: token.staleness(),
            is_pressing: false,
        };
        for entry in &self.entries[arrival + 1..] {
            match entry.fact {
                Fact::Granted {
                    is_current: true, ..
                } => {
                    let half = token.age(entry.at) + token.left(entry.at) / 2;
                    (plan.early, plan.due, plan.is_pressing) = (half, half, false);
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

    /// The age until which minima that the held token misses cause no request, and the landing that
    /// said so.
    pub(crate) fn pause(&self, arrival: usize) -> (usize, Ns) {
        let Fact::Granted { token: held, .. } = self.entries[arrival].fact else {
            return (arrival, 0);
        };
        let landings = self.entries.iter().enumerate().skip(arrival).rev();
        let mut pauses = landings.filter_map(|(index, entry)| {
            let Fact::Granted {
                flight,
                is_current: true,
                ..
            } = entry.fact
            else {
                return None;
            };
            let spare = held.left(entry.at) - self.minimum(flight)?;
            // A new token's pause counts from its birth, that of one that stayed from then on.
            let is_new = index == arrival;
            let start = if is_new { 0 } else { held.age(entry.at) };
            let is_barely_met = spare < held.lifetime / 10;
            is_barely_met.then_some((index, start + (held.lifetime / 10).max(5 * SECOND)))
        });
        pauses.next().unwrap_or((arrival, 0))
    }

    /// Somebody was told that the held token misses a minimum, since it arrived or a pause began.
    pub(crate) fn has_warned(&self, arrival: usize) -> bool {
        self.has(self.pause(arrival).0, |fact| matches!(fact, Fact::Warned))
    }

    /// The row that the last failure belongs to, unless something ended it.
    pub(crate) fn row(&self) -> Option<Row> {
        let mut row: Option<Row> = None;
        for entry in self.entries.iter().rev() {
            match entry.fact {
                Fact::Granted { .. } | Fact::Configured { .. } => break,
                Fact::Failed {
                    failure, jitter, ..
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

    pub(crate) fn is_in_background(&self) -> bool {
        let change = self.last(|entry| match entry.fact {
            Fact::Configured { in_background, .. } => Some(in_background),
            _ => None,
        });
        change.map_or(self.in_background_at_first, |(_, in_background)| in_background)
    }

    /// The last background refresh, unless the configuration changed since.
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

    /// The spacing of rejections as it stood before the entry of this number, read at a time.
    pub(crate) fn spacing(&self, end: usize, now: Option<Time>) -> Ns {
        let mut spacing = SECOND;
        for index in 0..=end {
            let entry = self.entries.get(index).filter(|_| index < end);
            let Some((arrival, held)) = self.held_before(index) else {
                continue;
            };
            let was_refused = self.was_refused(arrival, index);
            let Some(at) = entry.map(|entry| entry.at).or(now) else {
                continue;
            };
            let is_replaced = entry
                .is_some_and(|entry| matches!(entry.fact, Fact::Granted { is_kept: true, .. }));
            if !was_refused && (is_replaced || held.age(at) >= held.staleness()) {
                spacing = SECOND;
            }
            if was_refused && entry.is_some_and(|entry| matches!(entry.fact, Fact::Dropped)) {
                spacing = (spacing * 2).min(60 * SECOND);
            }
        }
        spacing
    }

    /// The token was refused during the spacing, between its arrival and the entry of this number.
    pub(crate) fn was_refused(&self, arrival: usize, end: usize) -> bool {
        self.entries[arrival..end]
            .iter()
            .any(|entry| matches!(entry.fact, Fact::Refused))
    }

    pub(crate) fn last_drop(&self) -> Option<usize> {
        let drop = self.last(|entry| matches!(entry.fact, Fact::Dropped).then_some(()))?;
        Some(drop.0)
    }

    /// When the first token after the last drop arrived.
    pub(crate) fn replacement(&self) -> Option<Time> {
        let mut since = self.entries[self.last_drop()?..].iter();
        let is_kept = |entry: &&Entry| matches!(entry.fact, Fact::Granted { is_kept: true, .. });
        since.find(is_kept).map(|entry| entry.at)
    }

    pub(crate) fn spacing_left(&self, now: Time) -> Ns {
        self.replacement()
            .map_or(0, |arrival| (self.spacing(self.len(), Some(now)) - now.after(arrival)).max(0))
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

    /// The last entry in which something is found, and that.
    fn last<R>(&self, pick: impl Fn(&Entry) -> Option<R>) -> Option<(usize, R)> {
        let mut entries = self.entries.iter().enumerate().rev();
        entries.find_map(|(index, entry)| pick(entry).map(|found| (index, found)))
    }
}
