//! Limits how often a program may clear the token, so that a program that clears it after every 401
//! cannot turn each request into a token request.

use std::time::Duration;

use crate::acquire::backoff::doubled;
use crate::clock::Moment;

/// The number of calls within [`WINDOW`] that the slot honours before spacing applies.
const FREE: usize = 3;
/// The time for which a call counts. After this time without a call, the spacing starts anew.
const WINDOW: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// The calls to clear one manager since the last ten seconds without such a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Clears(Option<Box<Burst>>);

#[derive(Clone, Debug)]
struct Burst {
    /// The last calls, the latest first.
    last_calls: [Option<Moment>; FREE],
    /// The number of calls that the slot has honoured because they were far enough apart.
    spaced: u32,
    /// When the slot adopted the first token after the last honoured clear.
    replaced: Option<Moment>,
}

impl Clears {
    /// Records a call to clear a slot that has a token or a flight. Returns whether the slot
    /// honours the call.
    pub(super) fn allows(&mut self, now: Moment) -> bool {
        let counts = |call: &Option<Moment>| call.is_some_and(|call| now.since(call) < WINDOW);
        self.0.take_if(|burst| !burst.last_calls.iter().any(counts));
        let burst = self.0.get_or_insert_with(|| {
            Box::new(Burst {
                last_calls: [None; FREE],
                spaced: 0,
                replaced: None,
            })
        });
        let is_free = !burst.last_calls.iter().all(counts);
        burst.last_calls.rotate_right(1);
        if let Some(latest) = burst.last_calls.first_mut() {
            *latest = Some(now);
        }
        if !is_free {
            let step = burst.spaced.saturating_add(1);
            let spacing = doubled(SHORTEST, step, LONGEST);
            let is_far = |replaced| now.since(replaced) >= spacing;
            if !burst.replaced.is_some_and(is_far) {
                return false;
            }
            burst.spaced = step;
        }
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
