//! Tokens that the server returns again. The caches of gateways and test doubles repeat an answer, and
//! the token in it does not live any longer for that.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::schedule::{ASSUMED_LIFETIME, Life};
use super::{LifetimeWarning, Token};
use crate::clock::Moment;

/// The last two tokens that were stored: the held one, and its successor or predecessor. It holds no
/// token, only a hash.
#[derive(Clone, Default)]
pub(super) struct Repeats {
    last: [Option<Grant>; 2],
}

/// Does not show the hashes.
impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Grant {
    hash: u64,
    sent: Moment,
    life: Life,
}

/// What is known about a token that has arrived.
pub(super) struct Origin {
    /// It was stored before, and the life that it had then goes on.
    pub(super) is_repeated: bool,
    pub(super) warning: Option<LifetimeWarning>,
}

impl Repeats {
    /// Gives a token that was stored before its first life. If that is over, the token counts as new,
    /// unless its own claims say that it has expired.
    pub(super) fn recognise(&self, now: Moment, token: &mut Token) -> Origin {
        let hash = hash_of(token);
        let Some(first) = self.last.iter().flatten().find(|grant| grant.hash == hash) else {
            return Origin {
                is_repeated: false,
                warning: None,
            };
        };
        if now.since(first.sent) < first.life.hard {
            (token.sent, token.life) = (first.sent, first.life);
            return Origin {
                is_repeated: true,
                warning: None,
            };
        }
        let has_expired = token.expiry.is_some_and(|expiry| expiry <= now.wall);
        if has_expired {
            token.life = Life::new(ASSUMED_LIFETIME, ASSUMED_LIFETIME);
        }
        Origin {
            is_repeated: false,
            warning: Some(if has_expired {
                LifetimeWarning::Over
            } else {
                LifetimeWarning::Repeated
            }),
        }
    }

    /// Remembers a token that is stored.
    pub(super) fn remember(&mut self, token: &Token) {
        let grant = Grant {
            hash: hash_of(token),
            sent: token.sent,
            life: token.life,
        };
        let [newest, oldest] = &mut self.last;
        if newest.is_none_or(|newest| newest.hash != grant.hash) {
            *oldest = *newest;
        }
        *newest = Some(grant);
    }
}

fn hash_of(token: &Token) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.access_token.expose().hash(&mut hasher);
    hasher.finish()
}
