//! The addon's functions: each converts its arguments, calls the manager, and returns data.

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{ArrayBuffer, Either, Either3, Either4, Function, Unknown};
use napi::{Env, Result};
use napi_derive::napi;
use zeroize::Zeroizing;

use super::derived::{DerivedData, RequestData};
use super::engine;
use super::env_data::EnvData;
use super::fetch_transport::{AddonTransport, FetchTransport, result_of};
use super::options::{self, Environment, Parsed, Unreadable};
use super::values::{
    EarlierFlight, EventData, FailureData, RequestOutcome, SnapshotData, StoreOutcome, TokenData,
};
use manager;
use manager::clock::SystemClock;
use manager::config::Config;
use manager::credential::SecretCall;
use manager::derived::{ManagerId, PARENT};
use manager::error::Error;
use manager::events::{EventQueue, EventSink};
use manager::options::LONE_SURROGATE;
use manager::published::NO_TOKEN;
use manager::slot::{Call, Clearing, Invalidation, RouteId};
use manager::store::{StoreAnswer, StoreCall};
use manager::{Level, Manager, Reply};
use oauth::{ClientSecret, TraceParent};
use transport::PendingAnswer;

/// The native side of a manager. It belongs to the thread that opened it.
#[napi]
pub struct Core {
    /// The manager of the current configuration.
    manager: RefCell<Arc<Manager<SystemClock, AddonTransport>>>,
    pub(super) events: Arc<EventQueue>,
    /// The calls to the secret function that have not settled.
    pub(super) secret_calls: RefCell<HashMap<u32, SecretCall>>,
    pub(super) last_secret_call: Cell<u32>,
    /// The calls to the store that have not settled.
    pub(super) store_calls: RefCell<HashMap<u32, StoreCall>>,
    pub(super) last_store_call: Cell<u32>,
    /// The requests that JavaScript is sending.
    pub(super) requests: RefCell<HashMap<u32, PendingAnswer>>,
    env_data: Weak<EnvData>,
    id: u32,
    /// Whether JavaScript can see the shared memory. Some builds of V8 forbid external memory.
    is_memory_shared: Cell<bool>,
}

/// Opens a manager, or returns the faults of its options. The addon calls `listener` when there are
/// events to drain.
#[napi(catch_unwind)]
pub fn open<'env>(
    env: &'env Env,
    options: Unknown<'env>,
    environment: Environment,
    listener: Function<'env, (), ()>,
) -> Result<Either3<Core, FailureData, Unreadable<'env>>> {
    let parsed = match options::parse(&options, environment)? {
        Ok(parsed) => parsed,
        Err(refusal) => {
            return Ok(match refusal.into_data() {
                Either::A(failure) => Either3::B(failure),
                Either::B(unreadable) => Either3::C(unreadable),
            });
        }
    };
    let env_data = EnvData::of(env)?;
    let (id, waker) = env_data.add(&listener)?;
    let events = EventQueue::new(move || waker.wake(id));
    let (config, transport, sink) = connect(parsed, &events);
    let manager = Manager::new(config, engine::clock(), transport, sink, engine::source());
    Ok(Either3::A(Core {
        manager: RefCell::new(manager),
        events,
        secret_calls: RefCell::default(),
        last_secret_call: Cell::new(0),
        store_calls: RefCell::default(),
        last_store_call: Cell::new(0),
        requests: RefCell::default(),
        env_data: Rc::downgrade(&env_data),
        id,
        is_memory_shared: Cell::new(false),
    }))
}

/// Connects parsed options to the event queue of their manager, and logs the options' warnings.
fn connect(
    parsed: Parsed,
    events: &Arc<EventQueue>,
) -> (Config, Arc<AddonTransport>, Arc<dyn EventSink>) {
    let Parsed {
        config,
        transport,
        warnings,
    } = parsed;
    let sink = events.next_sink();
    for warning in warnings.into_iter().filter(|_| config.has_logger) {
        sink.push(manager::Event::Log(Level::Warn, warning));
    }
    let sender = Arc::clone(&sink);
    let transport = match transport {
        None => AddonTransport::Fetch(FetchTransport::new(sender)),
        Some(http) => {
            let ask = move || sender.push(manager::Event::RootsWanted);
            AddonTransport::Http(http.asking(Arc::new(ask)))
        }
    };
    (config, Arc::new(transport), sink)
}

#[napi]
impl Core {
    /// Returns this manager's shared memory, or the chunk with this number of the derived managers'
    /// memory. The Rust module `manager::published` describes its layout.
    #[napi(catch_unwind)]
    pub fn memory<'env>(&self, env: &'env Env, chunk: Option<u32>) -> Result<ArrayBuffer<'env>> {
        let own = || self.manager().published().chunk();
        let chunk = chunk.and_then(|number| self.manager().published_chunk(number as usize));
        let published = chunk.unwrap_or_else(own);
        let data = published.as_ptr().cast_mut().cast::<u8>();
        let size = size_of_val(&*published);
        // SAFETY: the allocation outlives the buffer, whose finaliser owns a reference to the
        // allocation. This side writes to the memory through atomics. JavaScript writes only the
        // counters and the times, on one thread.
        let buffer = unsafe {
            ArrayBuffer::from_external(env, data, size, published, |_, owned| {
                drop(owned);
            })?
        };
        self.is_memory_shared
            .set(buffer.as_ptr() == data.cast_const());
        Ok(buffer)
    }

    /// Derives a manager. Returns `null` if this manager is closed.
    #[napi(catch_unwind)]
    pub fn derive(&self, request: RequestData) -> Result<Option<DerivedData>> {
        let derived = self.manager().derive(request.into_request()?);
        Ok(derived.map(|(id, memory)| {
            let (chunk, index) = memory.place();
            DerivedData {
                id: id.0,
                chunk,
                index,
            }
        }))
    }

    /// Closes a derived manager for which no call waits.
    #[napi(catch_unwind)]
    pub fn release(&self, manager: u32) {
        self.manager().release(ManagerId(manager));
    }

    /// Returns a token, the flight to wait for, or a failure. `manager` is the id of a derived
    /// manager, or 0. `minimum` is in seconds, 0 for none. `has_waited` says whether a forced call
    /// has waited for an earlier flight. `trace_parent` is the trace context of the call.
    #[napi(catch_unwind)]
    pub fn ask(
        &self,
        manager: u32,
        minimum: f64,
        forced: bool,
        has_waited: bool,
        trace_parent: Option<String>,
    ) -> Either4<TokenData, u32, FailureData, EarlierFlight> {
        let call = if forced && has_waited {
            Call::ForcedAgain
        } else if forced {
            Call::Forced
        } else if minimum > 0.0 {
            // No token can meet a minimum that is too large for a `Duration`.
            Call::Minimum(Duration::try_from_secs_f64(minimum).unwrap_or(Duration::MAX))
        } else {
            Call::Any
        };
        let Some(manager) = self.member(manager) else {
            return Either4::C(FailureData::new(&Error::closed(), None));
        };
        let trace_parent = trace_parent.and_then(|value| TraceParent::parse(&value));
        match manager.ask_in(trace_parent, call) {
            Reply::Token(token, version) => Either4::A(self.token(token, version)),
            Reply::Flight(flight) => Either4::B(flight.0),
            Reply::Failure(error, retry_after) => Either4::C(FailureData::new(&error, retry_after)),
            Reply::EarlierFlight(flight) => Either4::D(EarlierFlight {
                earlier_flight: flight.0,
            }),
        }
    }

    /// Sets whether the addon reports the details of acquisitions when they end, and whether it
    /// reports their starts.
    #[napi(catch_unwind)]
    pub fn observe(&self, ends: bool, starts: bool) {
        self.events.observe(ends, starts);
    }

    /// Returns the events since the last call.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Vec<EventData> {
        let events = self.events.drain().into_iter();
        events
            .filter_map(|(is_former, event)| self.event(is_former, event))
            .collect()
    }

    /// Delivers the secret that the secret function returned, or the fault.
    #[napi(catch_unwind)]
    pub fn answer_secret(&self, call: u32, secret: Option<String>, fault: Option<String>) {
        let secret = secret.map(Zeroizing::new);
        let Some(call) = self.secret_calls.borrow_mut().remove(&call) else {
            return;
        };
        let is_sound = |text: &Zeroizing<String>| !text.contains(char::REPLACEMENT_CHARACTER);
        let fault = match &secret {
            Some(text) if !is_sound(text) => Some(format!("the secret: {LONE_SURROGATE}")),
            _ => fault,
        };
        let secret = secret
            .filter(is_sound)
            .and_then(|mut text| ClientSecret::new(std::mem::take(&mut *text)));
        let failure = |fault: Option<String>| call.failure(&fault.unwrap_or_default());
        let secret = secret.map(Arc::new).ok_or_else(|| failure(fault));
        call.settle(secret);
    }

    /// Delivers the result of a call to the store. Ignores a late result.
    #[napi(catch_unwind)]
    pub fn end_store_call(&self, call: u32, outcome: StoreOutcome) {
        if let Some(call) = self.store_calls.borrow_mut().remove(&call) {
            call.settle(match outcome {
                StoreOutcome::Done { value } => StoreAnswer::Done(value),
                StoreOutcome::Failed { detail } => StoreAnswer::Failed(detail),
            });
        }
    }

    /// Delivers the result of a request that JavaScript sent. Ignores a late result.
    #[napi(catch_unwind)]
    pub fn end_request(&self, request: u32, outcome: RequestOutcome) {
        if let Some(pending) = self.requests.borrow_mut().remove(&request) {
            pending.deliver(result_of(outcome));
        }
    }

    /// Drops the held token if this route rejected it. Returns `dropped`; `kept` if a cool-down is
    /// in effect, the last drop is too recent or the drop budget is exhausted; or `ignored` if the
    /// manager holds another token.
    #[napi(catch_unwind)]
    pub fn invalidate(&self, manager: u32, rejected: String, route: String) -> &'static str {
        let rejected = Zeroizing::new(rejected);
        let Some(manager) = self.member(manager) else {
            return "ignored";
        };
        match manager.invalidate(&rejected, route_id(&route)) {
            Invalidation::Dropped => "dropped",
            Invalidation::Kept => "kept",
            Invalidation::Ignored => "ignored",
        }
    }

    /// Records that a route accepted a token. Returns whether to report its next acceptance.
    #[napi(catch_unwind)]
    pub fn accept(&self, manager: u32, accepted: String, route: String) -> bool {
        let accepted = Zeroizing::new(accepted);
        self.member(manager)
            .is_some_and(|manager| manager.accept(&accepted, route_id(&route)))
    }

    /// Drops the held token and detaches the flight. Returns `dropped` if the manager held a token,
    /// `detached` if there was only a flight, `kept` if there were too many clears, or `nothing`.
    #[napi(catch_unwind)]
    pub fn clear(&self, manager: u32) -> &'static str {
        match self
            .member(manager)
            .map_or(Clearing::Nothing, |manager| manager.clear())
        {
            Clearing::Dropped => "dropped",
            Clearing::Detached => "detached",
            Clearing::Kept => "kept",
            Clearing::Nothing => "nothing",
        }
    }

    /// Drops the held token and detaches the flight, because callers must not use the token any
    /// more. Also drops the tokens of derived managers.
    #[napi(catch_unwind)]
    pub fn drop_token(&self, manager: u32) {
        if let Some(manager) = self.member(manager) {
            manager.drop_token();
        }
    }

    /// Applies changed options. If they are invalid, returns the faults and changes nothing.
    #[napi(catch_unwind)]
    pub fn reconfigure<'env>(
        &self,
        options: Unknown<'env>,
        environment: Environment,
    ) -> Result<Option<Either<FailureData, Unreadable<'env>>>> {
        Ok(match options::parse(&options, environment)? {
            Ok(parsed) => {
                let (config, transport, sink) = connect(parsed, &self.events);
                let replacement = self.manager().reconfigured(config, transport, sink);
                *self.manager.borrow_mut() = replacement;
                None
            }
            Err(refusal) => Some(refusal.into_data()),
        })
    }

    /// Returns a new DPoP proof for a request to a resource server, or `null` for a bearer token.
    /// `uri` is the URL of the request without query and fragment.
    #[napi(catch_unwind)]
    pub fn dpop_proof(
        &self,
        manager: u32,
        method: String,
        uri: String,
        token: String,
        nonce: Option<String>,
    ) -> Result<Option<String>> {
        let token = Zeroizing::new(token);
        let Some(manager) = self.member(manager) else {
            return Ok(None);
        };
        let proof = manager.dpop_proof(&method, &uri, &token, nonce.as_deref());
        proof.map_err(|_| napi::Error::from_reason("the system provides no random numbers"))
    }

    /// Returns the state and counters of a manager; `null` if it was released.
    #[napi(catch_unwind)]
    pub fn snapshot(&self, manager: u32) -> Option<SnapshotData> {
        self.member(manager)
            .map(|manager| manager.snapshot().into())
    }

    /// Closes the manager and its derived managers for callers, and revokes their tokens. Returns
    /// whether there is a token to revoke. If so, the event `RevocationEnded` follows.
    #[napi(catch_unwind)]
    pub fn revoke(&self) -> bool {
        self.manager().revoke()
    }

    /// Returns the failure for callers of a closed manager.
    #[napi(catch_unwind)]
    pub fn closed(&self) -> FailureData {
        FailureData::new(&Error::closed(), None)
    }

    /// Closes the manager and drops its secrets. Returns the failure for the callers that still
    /// wait.
    #[napi(catch_unwind)]
    pub fn close(&self) -> FailureData {
        self.end();
        FailureData::new(&Error::closed(), None)
    }

    fn manager(&self) -> Ref<'_, Arc<Manager<SystemClock, AddonTransport>>> {
        self.manager.borrow()
    }

    /// Returns a derived manager, or this one for the id 0.
    fn member(&self, id: u32) -> Option<Arc<Manager<SystemClock, AddonTransport>>> {
        let manager = self.manager();
        match ManagerId(id) {
            PARENT => Some(Arc::clone(&manager)),
            id => manager.derived(id),
        }
    }

    pub(super) fn token(&self, token: Arc<manager::slot::Token>, version: u32) -> TokenData {
        let is_shared = self.is_memory_shared.get();
        TokenData::new(token, if is_shared { version } else { NO_TOKEN })
    }

    fn end(&self) {
        self.manager().close();
        self.events.close();
        self.secret_calls.take();
        self.store_calls.take();
        self.requests.take();
        if let Some(env_data) = self.env_data.upgrade() {
            env_data.remove(self.id);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.end();
    }
}

fn route_id(label: &str) -> RouteId {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    RouteId(hasher.finish())
}
