//! Limits how often a program may clear the token, so that a program that clears it after every 401
//! cannot turn each request into a token request.

use std::time::Duration;

use crate::acquire::backoff::doubled;
use crate::clock::Moment;

/// The number of clears that the slot honours before spacing applies.
const FREE: u32 = 3;
/// The time without a call after which the count of clears starts anew.
const QUIET: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// The clears of one manager since the last quiet period.
#[derive(Clone, Debug, Default)]
pub(super) struct Clears(Option<Box<Burst>>);

#[derive(Clone, Debug)]
struct Burst {
    /// The number of clears that the slot has honoured.
    honoured: u32,
    last_call: Moment,
    /// When the slot adopted the first token after the last honoured clear.
    replaced: Option<Moment>,
}

impl Clears {
    /// Records a call to clear a slot that has a token or a flight. Returns whether the slot
    /// honours the call.
    pub(super) fn allows(&mut self, now: Moment) -> bool {
        let is_quiet = |burst: &mut Box<Burst>| now.since(burst.last_call) >= QUIET;
        self.0.take_if(is_quiet);
        let burst = self.0.get_or_insert_with(|| {
            Box::new(Burst {
                honoured: 0,
                last_call: now,
                replaced: None,
            })
        });
        burst.last_call = now;
        let spacing = doubled(SHORTEST, burst.honoured.saturating_sub(FREE - 1), LONGEST);
        let is_too_soon = burst
            .replaced
            .is_none_or(|replaced| now.since(replaced) < spacing);
        if burst.honoured >= FREE && is_too_soon {
            return false;
        }
        burst.honoured = burst.honoured.saturating_add(1);
        burst.replaced = None;
        true
    }

    /// Records that the slot adopted a token.
    pub(super) fn adopted(&mut self, now: Moment) {
        if let Some(burst) = &mut self.0 {
            burst.replaced.get_or_insert(now);
        }
    }
}
