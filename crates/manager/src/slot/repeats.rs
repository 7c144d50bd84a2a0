//! Recognises tokens that the server returns again. A gateway's cache or a test double may repeat
//! an answer, but the repetition does not extend the life of the token.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::schedule::{ASSUMED_LIFETIME, Life};
use super::{LifetimeWarning, Token};
use crate::clock::Moment;

/// The hashes and lives of the last two tokens that the slot stored: the held token, and its
/// successor or predecessor.
#[derive(Clone, Default)]
pub(super) struct Repeats {
    newest: Option<FirstLife>,
    /// Most slots store only one token before they end, so memory for this life is allocated on
    /// demand.
    oldest: Option<Box<FirstLife>>,
}

/// Hides the hashes.
impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct FirstLife {
    hash: u64,
    sent: Moment,
    life: Life,
}

/// The result of [`Repeats::recognise`] for a token that has arrived.
pub(super) struct Recognition {
    /// Whether the slot has stored the token before, and the first life of the token is not over.
    pub(super) is_repeated: bool,
    pub(super) warning: Option<LifetimeWarning>,
}

impl Repeats {
    /// Restores the first life of a token that the slot has stored before. If that life is over,
    /// the token counts as new, unless its own claims say that it has expired.
    pub(super) fn recognise(&self, now: Moment, token: &mut Token) -> Recognition {
        let hash = hash_of(token);
        let mut last = self.newest.iter().chain(self.oldest.as_deref());
        let Some(first) = last.find(|first| first.hash == hash) else {
            return Recognition {
                is_repeated: false,
                warning: None,
            };
        };
        if now.since(first.sent) < first.life.hard() {
            (token.sent, token.life) = (first.sent, first.life);
            return Recognition {
                is_repeated: true,
                warning: None,
            };
        }
        let has_expired = token.expiry.is_some_and(|expiry| expiry <= now.wall());
        if has_expired {
            token.life = Life::new(ASSUMED_LIFETIME, ASSUMED_LIFETIME);
        }
        Recognition {
            is_repeated: false,
            warning: Some(if has_expired {
                LifetimeWarning::Over
            } else {
                LifetimeWarning::Repeated
            }),
        }
    }

    /// Records the hash and the life of a token that the slot stores.
    pub(super) fn remember(&mut self, token: &Token) {
        let life = FirstLife {
            hash: hash_of(token),
            sent: token.sent,
            life: token.life,
        };
        if self.newest.is_none_or(|newest| newest.hash != life.hash) {
            self.oldest = self.newest.map(Box::new);
        }
        self.newest = Some(life);
    }
}

pub(super) fn hash_of(token: &Token) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.access_token.expose().hash(&mut hasher);
    hasher.finish()
}
