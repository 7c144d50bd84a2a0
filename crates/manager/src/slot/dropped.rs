//! Remembers dropped tokens, so that the slot does not take them back from a shared store.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::Token;
use super::repeats::hash_of;
use crate::clock::Moment;

/// The number of dropped tokens that the slot remembers.
const MOST: usize = 16;

/// The drops of one slot.
#[derive(Clone, Default)]
pub(super) struct Dropped(Option<Box<Drops>>);

#[derive(Clone)]
struct Drops {
    last: Moment,
    tokens: VecDeque<DroppedToken>,
}

#[derive(Clone, Copy)]
struct DroppedToken {
    hash: u64,
    sent: Moment,
    life: Duration,
}

/// Hides the hashes.
impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dropped").finish_non_exhaustive()
    }
}

impl Dropped {
    /// Records that the slot dropped a token, or detached a flight.
    pub(super) fn record(&mut self, now: Moment, token: Option<&Token>) {
        let drops = self.0.get_or_insert_with(|| {
            Box::new(Drops {
                last: now,
                tokens: VecDeque::new(),
            })
        });
        drops.last = now;
        drops
            .tokens
            .retain(|token| now.since(token.sent) < token.life);
        drops.tokens.extend(token.map(|token| DroppedToken {
            hash: hash_of(token),
            sent: token.sent,
            life: token.life.granted(),
        }));
        if drops.tokens.len() > MOST {
            drops.tokens.pop_front();
        }
    }

    /// Whether the slot must not use a token from the store: the slot dropped this token, or the
    /// server granted it before the last drop. The monotonic clock decides, because a step of the
    /// wall clock must not make every token in the store look too old.
    pub(super) fn refuses(&self, token: &Token) -> bool {
        self.0.as_ref().is_some_and(|drops| {
            let hash = hash_of(token);
            token.sent.monotonic() <= drops.last.monotonic()
                || drops.tokens.iter().any(|dropped| dropped.hash == hash)
        })
    }
}
