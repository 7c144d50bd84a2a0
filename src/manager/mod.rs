//! When to fetch, and for whom.
//!
//! [`Manager`] ties the pure [`slot`] to a clock, a transport, a runtime and an [`Owner`], who is
//! told what happened. One lock guards the slot and what is published of it; it is held for a
//! decision, never for an operation. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

mod acquisition;
pub mod alarm;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod credential;
mod discovery;
pub mod error;
pub mod held;
pub mod mailbox;
pub mod options;
pub mod published;
mod rejections;
pub mod schedule;
mod shared;
pub mod slot;
pub mod snapshot;
pub mod sync;
mod trouble;

use alarm::Alarms;
use clock::Clock;
use config::{Config, Material};
use credential::CallId;
use error::Error;
use held::Grant;
use published::Published;

use shared::Shared;
use slot::{Call, FlightId, Invalidation};
use snapshot::Snapshot;
use sync::Handle;

use crate::oauth::ClientSecret;
use crate::transport::Transport;

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something that a person should look at.
    Warn,
    /// Something that is good to know.
    Info,
    /// Something for whoever looks for a fault.
    Debug,
}

/// Whom a manager tells what happened. Called from any thread, with no lock held.
pub trait Owner: Send + Sync + 'static {
    /// A flight ended. The token that the published word stood for may be gone with that.
    fn flight_landed(&self, flight: FlightId, arrival: Arrival);
    /// The token that the published word stood for came to its end: copies of it may go, too.
    fn token_gone(&self);
    /// A line for the log.
    fn log(&self, level: Level, message: String);
    /// The secret function is to be called.
    fn ask_secret(&self, call: CallId);
    /// The certificates that Node trusts are to be handed to the transport.
    fn ask_roots(&self);
}

/// What a flight gave those who wait for it.
#[derive(Debug)]
pub struct Arrival {
    /// The token, or the failure.
    pub result: Result<Arc<Grant>, Error>,
    /// After a failure: the held token, for those who did not insist on a new one.
    pub fallback: Option<Arc<Grant>>,
    /// After a failure: how long until it makes sense to ask again.
    pub retry_after: Option<Duration>,
    /// The word for which the token may be kept, or [`NO_TOKEN`].
    pub word: u32,
    /// The token was over when it arrived. It is for those who wait, all the same.
    pub was_over: bool,
    /// It failed because the configuration changed before it had its secret: those who wait ask
    /// again.
    pub is_superseded: bool,
    /// What the log says of it.
    pub lines: Vec<(Level, String)>,
}

/// What a caller gets.
#[derive(Debug)]
pub enum Reply {
    /// A token, and the word for which it may be kept, or [`NO_TOKEN`].
    Token(Arc<Grant>, u32),
    /// This flight's result, later.
    Flight(FlightId),
    /// A failure, and how long until it makes sense to ask again.
    Failure(Error, Option<Duration>),
}

/// What managers of a process share: a runtime, and the alarms that run on it.
#[derive(Clone)]
pub struct Engine {
    /// Where flights run.
    pub handle: Handle,
    /// Who wakes managers.
    pub alarms: Arc<Alarms>,
}

impl Engine {
    /// On that runtime, woken by those alarms.
    #[must_use]
    pub fn new(handle: Handle, alarms: Arc<Alarms>) -> Self {
        Self { handle, alarms }
    }
}

/// A token manager. Dropping it is closing it.
pub struct Manager<C: Clock, T: Transport> {
    shared: Arc<Shared<C, T>>,
}

impl<C: Clock, T: Transport> Manager<C, T> {
    /// A manager. Nothing runs, and `start_engine` is not called, until the first token is asked for.
    pub fn new(
        config: Config,
        clock: Arc<C>,
        transport: Arc<T>,
        owner: Arc<dyn Owner>,
        start_engine: impl Fn() -> Option<Engine> + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared::new(config, clock, transport, owner, Box::new(start_engine));
        Self { shared }
    }

    /// The memory that callers read before they ask.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.shared.published()
    }

    /// What a caller gets.
    #[must_use]
    pub fn ask(&self, call: Call) -> Reply {
        self.shared.ask(call)
    }

    /// Drops the held token if it is the rejected one and nothing forbids it.
    #[must_use]
    pub fn invalidate(&self, rejected: &str) -> Invalidation {
        self.shared.invalidate(rejected)
    }

    /// Drops the held token. Says whether there was one.
    #[must_use]
    pub fn clear(&self) -> bool {
        self.shared.clear()
    }

    /// The secret function is called now, if this says that anybody wants that.
    #[expect(clippy::must_use_candidate, reason = "whoever tells may know")]
    pub fn secret_called(&self, call: CallId) -> bool {
        let source = self.shared.credential_source(call);
        source.is_some_and(|source| source.called(call))
    }

    /// The secret function gave this.
    pub fn secret_answered(&self, call: CallId, answer: Result<Arc<ClientSecret>, Error>) {
        if let Some(source) = self.shared.credential_source(call) {
            source.answer(call, answer.map(Material::Secret));
        }
    }

    /// The state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Takes a changed configuration. A flight under way goes on with the old one, but a secret that
    /// is refused to it is read anew.
    pub fn reconfigure(&self, config: Config, transport: Arc<T>) {
        self.shared.reconfigure(config, transport);
    }

    /// Ends flights and alarms and forgets secrets. The owner hears of nothing that happens later.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl<C: Clock, T: Transport> Drop for Manager<C, T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}
