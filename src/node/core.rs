//! The addon's functions: each takes what JavaScript gives, asks the manager, and answers as data.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{ArrayBuffer, Either, Either3, Function, Unknown};
use napi::{Env, Result};
use napi_derive::napi;
use zeroize::Zeroizing;

use super::engine;
use super::options::{self, Environment, Parsed, Unreadable};
use super::room::Room;
use super::shapes::{Delivery, Failure, State, Token};
use crate::manager::clock::{Clock, SystemClock};
use crate::manager::credential::CallId;
use crate::manager::error::Error;
use crate::manager::mailbox::{Letter, Mailbox};
use crate::manager::options::LONE_SURROGATE;
use crate::manager::published::{NO_TOKEN, Published};
use crate::manager::slot::{Call, Invalidation};
use crate::manager::{Arrival, Level, Manager, Owner, Reply};
use crate::oauth::ClientSecret;
use crate::transport::{HttpTransport, set_node_roots};

/// A manager's native side. It belongs to the thread that opened it.
#[napi]
pub struct Core {
    manager: Manager<SystemClock, HttpTransport>,
    mailbox: Arc<Mailbox>,
    room: Weak<Room>,
    id: u32,
    /// JavaScript sees the shared word: false where V8 forbids memory of others.
    is_word_shared: Cell<bool>,
    is_holding: Cell<bool>,
}

/// Opens a manager, or says what is wrong with its options. `notify` is called with the manager's
/// id when it has something to say.
#[napi(catch_unwind)]
pub fn open<'env>(
    env: &'env Env,
    options: Unknown<'env>,
    environment: Environment,
    notify: Function<'env, u32, ()>,
) -> Result<Either3<Core, Failure, Unreadable<'env>>> {
    let Parsed {
        config,
        transport,
        warnings,
    } = match options::parse(&options, environment)? {
        Ok(parsed) => parsed,
        Err(refusal) => {
            return Ok(match refusal.into_data() {
                Either::A(failure) => Either3::B(failure),
                Either::B(unreadable) => Either3::C(unreadable),
            });
        }
    };
    let room = Room::of(env)?;
    let (id, nudge) = room.enter(env, notify)?;
    let mailbox = Arc::new(Mailbox::new(move || nudge.send(id)));
    for warning in warnings.into_iter().filter(|_| config.has_logger) {
        mailbox.note(Level::Warn, warning);
    }
    let owner: Arc<dyn Owner> = Arc::<Mailbox>::clone(&mailbox);
    let transport = Arc::new(transport);
    Ok(Either3::A(Core {
        manager: Manager::new(config, engine::clock(), transport, owner, engine::engine),
        mailbox,
        room: Rc::downgrade(&room),
        id,
        is_word_shared: Cell::new(false),
        is_holding: Cell::new(false),
    }))
}

/// The version of the package that this is a part of.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Hands over the certificates that Node trusts, PEM after PEM. The first call in a process counts.
#[napi(catch_unwind)]
pub fn trust(pem: String) {
    set_node_roots(&pem);
}

/// Those who wait for it ask again: the configuration changed under it, or its token came to its
/// end between its arrival and now, while the event loop was blocked.
fn is_void_by_now(letter: &Letter) -> bool {
    match letter {
        Letter::Landed(_, Arrival { is_superseded, .. }) if *is_superseded => true,
        Letter::Landed(
            _,
            Arrival {
                result: Ok(grant),
                was_over: false,
                ..
            },
        ) => grant.age(engine::clock().now()) >= grant.life.granted,
        _ => false,
    }
}

#[napi]
impl Core {
    /// The id that `notify` is called with.
    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The shared memory: the word as `Int32Array[0]`, hits and joins as `Float64Array[1]` and `[2]`.
    #[napi(catch_unwind)]
    pub fn memory<'env>(&self, env: &'env Env) -> Result<ArrayBuffer<'env>> {
        let published = self.manager.published();
        let data = Arc::as_ptr(&published).cast_mut().cast::<u8>();
        // SAFETY: the allocation outlives the buffer, whose finaliser owns a count of it. It is
        // written through atomics on this side only.
        let buffer = unsafe {
            ArrayBuffer::from_external(env, data, size_of::<Published>(), published, |_, owned| {
                drop(owned);
            })?
        };
        self.is_word_shared
            .set(buffer.as_ptr() == data.cast_const());
        Ok(buffer)
    }

    /// What a caller gets: a token, the flight to wait for, or a failure. `minimum` is in seconds,
    /// negative for none.
    #[napi(catch_unwind)]
    pub fn ask(&self, minimum: f64, forced: bool) -> Either3<Token, u32, Failure> {
        let call = if forced {
            Call::Forced
        } else if minimum > 0.0 {
            // A number beyond what a duration holds is a minimum that nothing meets.
            Call::Minimum(Duration::try_from_secs_f64(minimum).unwrap_or(Duration::MAX))
        } else {
            Call::Any
        };
        match self.manager.ask(call) {
            Reply::Token(grant, word) => Either3::A(Token::new(grant, self.visible(word))),
            Reply::Flight(flight) => Either3::B(flight.0),
            Reply::Failure(error, retry_after) => Either3::C(Failure::new(&error, retry_after)),
        }
    }

    /// What the manager has to say.
    #[napi(catch_unwind)]
    pub fn take(&self) -> Vec<Delivery> {
        let letters = self.mailbox.take();
        let mut deliveries = Vec::with_capacity(letters.len());
        for letter in letters {
            if let Letter::AskSecret(call) = letter
                && !self.manager.secret_called(call)
            {
                continue;
            }
            let is_void = is_void_by_now(&letter);
            let mut delivery = Delivery::from(letter);
            delivery.is_over = is_void.then_some(true);
            if let Some(token) = &mut delivery.token {
                token.word = self.visible(token.word);
            }
            deliveries.push(delivery);
        }
        deliveries
    }

    /// The secret function gave this, or failed in the way that `fault` says.
    #[napi(catch_unwind)]
    pub fn answer_secret(&self, call: u32, secret: Option<String>, fault: Option<String>) {
        let secret = secret.map(Zeroizing::new);
        let is_sound = |text: &Zeroizing<String>| !text.contains(char::REPLACEMENT_CHARACTER);
        let fault = match &secret {
            Some(text) if !is_sound(text) => Some(format!("the secret: {LONE_SURROGATE}")),
            _ => fault,
        };
        let answer = match secret
            .filter(is_sound)
            .and_then(|mut text| ClientSecret::new(std::mem::take(&mut *text)))
        {
            Some(secret) => Ok(Arc::new(secret)),
            None => Err(Error::credential(&fault.unwrap_or_default())),
        };
        self.manager.secret_answered(CallId(call), answer);
    }

    /// Drops the held token if it is this one and nothing forbids it. Says what became of it:
    /// `dropped`, `kept`, or `ignored` if it is another one.
    #[napi(catch_unwind)]
    pub fn invalidate(&self, rejected: String) -> &'static str {
        let rejected = Zeroizing::new(rejected);
        match self.manager.invalidate(&rejected) {
            Invalidation::Dropped => "dropped",
            Invalidation::Kept => "kept",
            Invalidation::Ignored => "ignored",
        }
    }

    /// Drops the held token. Says whether there was one.
    #[napi(catch_unwind)]
    pub fn clear(&self) -> bool {
        self.manager.clear()
    }

    /// Takes changed options, or says what is wrong with them and changes nothing.
    #[napi(catch_unwind)]
    pub fn reconfigure<'env>(
        &self,
        options: Unknown<'env>,
        environment: Environment,
    ) -> Result<Option<Either<Failure, Unreadable<'env>>>> {
        Ok(match options::parse(&options, environment)? {
            Ok(Parsed {
                config,
                transport,
                warnings,
            }) => {
                for warning in warnings.into_iter().filter(|_| config.has_logger) {
                    self.mailbox.note(Level::Warn, warning);
                }
                self.manager.reconfigure(config, Arc::new(transport));
                None
            }
            Err(refusal) => Some(refusal.into_data()),
        })
    }

    /// The state.
    #[napi(catch_unwind)]
    pub fn snapshot(&self) -> State {
        self.manager.snapshot().into()
    }

    /// Holds the event loop, or lets it go.
    #[napi(catch_unwind)]
    pub fn hold(&self, env: &Env, holds: bool) {
        let Some(room) = self.room.upgrade() else {
            return;
        };
        match (self.is_holding.replace(holds), holds) {
            (false, true) => room.hold(env),
            (true, false) => room.release(env),
            _ => {}
        }
    }

    /// Ends everything and forgets secrets.
    #[napi(catch_unwind)]
    pub fn close(&self, env: &Env) {
        self.manager.close();
        self.mailbox.close();
        self.hold(env, false);
        self.leave();
    }

    fn visible(&self, word: u32) -> u32 {
        if self.is_word_shared.get() {
            word
        } else {
            NO_TOKEN
        }
    }

    fn leave(&self) {
        if let Some(room) = self.room.upgrade() {
            room.leave(self.id);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.leave();
    }
}
