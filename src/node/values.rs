//! The plain objects that cross the boundary to JavaScript.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{ToNapiValue, Uint8Array};
use napi::{Result, sys};
use napi_derive::napi;
use zeroize::Zeroizing;

use super::external_string::string_of;
use manager::error::Error;
use manager::slot::Condition;
use manager::slot::Token;
use manager::snapshot::{Counters, Snapshot};
use manager::store::Command;
use oauth::TokenRequest;

/// A token that JavaScript reads from the manager's memory.
pub struct Bearer(Arc<Token>);

impl ToNapiValue for Bearer {
    unsafe fn to_napi_value(env: sys::napi_env, bearer: Self) -> Result<sys::napi_value> {
        // SAFETY: the caller guarantees that the environment is valid.
        unsafe { string_of(env, &bearer.0, |token| token.access_token.expose()) }
    }
}

/// A text that contains a secret, which the addon converts without an intermediate copy.
pub struct Confidential(Zeroizing<String>);

impl ToNapiValue for Confidential {
    unsafe fn to_napi_value(env: sys::napi_env, text: Self) -> Result<sys::napi_value> {
        // SAFETY: the caller guarantees that the environment is valid.
        unsafe { <&str as ToNapiValue>::to_napi_value(env, &text.0) }
    }
}

/// A token with its metadata.
#[napi(object, object_from_js = false)]
pub struct TokenData {
    /// The token.
    #[napi(ts_type = "string")]
    pub token: Bearer,
    /// Whether the server bound the token to a key (DPoP).
    pub is_bound: bool,
    /// The scope of the token.
    pub scope: Option<String>,
    /// When the manager sent the request for the token, in ms since the epoch.
    pub issued_at: f64,
    /// When the token expires, in ms since the epoch.
    pub expires_at: f64,
    /// The version for which JavaScript may keep the token, or 0 if it must not keep the token.
    pub version: u32,
}

/// A flight that sent its request before a forced call.
#[napi(object, object_from_js = false)]
pub struct EarlierFlight {
    /// The flight.
    pub earlier_flight: u32,
}

/// A failure as data.
#[napi(object, object_from_js = false)]
pub struct FailureData {
    /// The error's code.
    pub code: String,
    /// The error's message.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The code that Node gives to the system error.
    pub system_code: Option<String>,
    /// The HTTP status.
    pub status: Option<u32>,
    /// The response's `error`.
    pub oauth_error: Option<String>,
    /// The response's `error_description`.
    pub oauth_error_description: Option<String>,
    /// The time to wait before the next call, counted from now.
    pub retry_after_ms: Option<f64>,
    /// The number of requests that the acquisition sent.
    pub attempts: Option<u32>,
    /// The URL of the token endpoint.
    pub token_endpoint: Option<String>,
    /// The id of the client.
    pub client_id: Option<String>,
}

/// An acquisition that ended.
#[napi(object, object_from_js = false)]
pub struct AcquisitionData {
    /// `miss`, `refresh`, `forced` or `rejected`.
    pub cause: &'static str,
    /// The form field `grant_type`.
    pub grant_type: &'static str,
    /// The number of token requests.
    pub attempts: u32,
    /// The duration, in seconds.
    pub seconds: f64,
    /// The failure, if the acquisition failed.
    pub failure: Option<FailureData>,
    /// The cool-down that the failure started.
    pub cool_down: Option<CoolDownData>,
    /// Whether the acquisition is the first success after failures.
    pub has_recovered: bool,
}

/// A cool-down that started.
#[napi(object, object_from_js = false)]
pub struct CoolDownData {
    /// The time during which the manager requests no token, in seconds.
    pub seconds: f64,
    /// The number of consecutive failures.
    pub failures: u32,
}

/// An event that JavaScript has to handle.
#[napi(discriminant = "type", object_from_js = false)]
#[allow(
    clippy::large_enum_variant,
    reason = "an event is on the stack only until it becomes a JavaScript object"
)]
pub enum EventData {
    /// A flight started. The addon reports this only if JavaScript observes the starts.
    FlightStarted {
        /// The id of the manager; 0 for the manager that is not derived.
        manager: u32,
        /// The flight.
        flight: u32,
        /// `miss`, `refresh`, `forced` or `rejected`.
        cause: &'static str,
        /// The form field `grant_type`.
        grant_type: &'static str,
        /// When the flight started, in ms since the epoch.
        at: f64,
    },
    /// A flight returned a token.
    Acquired {
        /// The id of the manager.
        manager: u32,
        /// The flight.
        flight: u32,
        /// The token.
        token: TokenData,
        /// The acquisition, if JavaScript observes it.
        acquisition: Option<AcquisitionData>,
    },
    /// A flight failed.
    Failed {
        /// The id of the manager.
        manager: u32,
        /// The flight.
        flight: u32,
        /// The reason.
        failure: FailureData,
        /// The held token, which waiters receive unless they forced a refresh.
        fallback: Option<TokenData>,
        /// The acquisition, if JavaScript observes it.
        acquisition: Option<AcquisitionData>,
    },
    /// The result of a flight is outdated, so its waiters must call again.
    AskAgain {
        /// The id of the manager.
        manager: u32,
        /// The flight.
        flight: u32,
        /// The acquisition, if JavaScript observes it.
        acquisition: Option<AcquisitionData>,
    },
    /// A derived manager dropped a token of which JavaScript may hold a copy.
    TokenDropped {
        /// The id of the manager.
        manager: u32,
    },
    /// The revocation of tokens has ended.
    RevocationEnded {},
    /// A log line.
    Log {
        /// `warn`, `info` or `debug`.
        level: String,
        /// The line.
        message: String,
    },
    /// JavaScript must call the secret function, or the assertion function of a derived manager,
    /// and pass its result to `answerSecret`.
    SecretWanted {
        /// The id of the derived manager, or 0.
        manager: u32,
        /// The id of the call.
        call: u32,
    },
    /// JavaScript must call the store and pass the result to `endStoreCall`.
    StoreWanted {
        /// The id of the call.
        call: u32,
        /// `get`, `set`, `delete` or `remake`.
        operation: String,
        /// The key of the entry.
        key: Option<String>,
        /// The value to write.
        value: Option<String>,
        /// The time to keep the value, in ms.
        ttl_ms: Option<f64>,
    },
    /// JavaScript must call `trust`.
    RootsWanted {},
    /// JavaScript must send this request and pass its result to `endRequest`.
    RequestWanted {
        /// The id of the request.
        request: u32,
        /// The URL of the request.
        url: String,
        /// The `Authorization` header.
        #[napi(ts_type = "string")]
        authorization: Option<Confidential>,
        /// Additional headers.
        headers: Vec<HeaderData>,
        /// The form; a request without one is a `GET`.
        #[napi(ts_type = "string")]
        body: Option<Confidential>,
    },
    /// JavaScript must abort this request.
    RequestAbandoned {
        /// The id of the request.
        request: u32,
    },
}

/// A header of a request.
#[napi(object, object_from_js = false)]
pub struct HeaderData {
    /// The name, in lower case.
    pub name: String,
    /// The value.
    #[napi(ts_type = "string")]
    pub value: Confidential,
}

/// The result of a request that JavaScript sent.
#[napi(discriminant = "type", object_to_js = false)]
pub enum RequestOutcome {
    /// A complete answer.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The headers that JavaScript read, keyed by their names in lower case.
        headers: HashMap<String, String>,
        /// The whole body.
        body: Uint8Array,
    },
    /// The body is larger than the limit.
    TooLarge {
        /// The HTTP status.
        status: u16,
    },
    /// The answer cannot be a token response, whatever its body contains.
    Unusable {
        /// The HTTP status, if the answer has one.
        status: Option<u16>,
        /// Why the answer is unusable.
        detail: String,
    },
    /// The `tokenFetch` function failed.
    Failed {
        /// The code of the error, or of its cause.
        code: Option<String>,
        /// The message of the error, or of its cause.
        detail: String,
    },
}

/// The result of a call to the store.
#[napi(discriminant = "type", object_to_js = false)]
pub enum StoreOutcome {
    /// The call succeeded.
    Done {
        /// The value of the entry, if the call read one that exists.
        value: Option<String>,
    },
    /// The store failed.
    Failed {
        /// The code of the error, or what is wrong with the result.
        detail: Option<String>,
    },
}

/// The state of a manager.
#[napi(object, object_from_js = false)]
pub struct SnapshotData {
    /// The option `name`.
    pub name: String,
    /// The thumbprint of the DPoP key.
    pub dpop_thumbprint: Option<String>,
    /// `empty`, `fresh`, `stale`, `failing` or `closed`.
    pub state: String,
    /// The age of the held token, in seconds.
    pub token_age_seconds: Option<f64>,
    /// The time until the held token is due for replacement, in seconds.
    pub seconds_to_soft_expiry: Option<f64>,
    /// The time until the manager stops serving the held token, in seconds.
    pub seconds_to_hard_expiry: Option<f64>,
    /// When the last acquisition succeeded, in ms since the epoch.
    pub last_success_at: Option<f64>,
    /// The last failure.
    pub last_failure: Option<LastFailure>,
    /// The counters of a manager.
    pub counters: CounterData,
    /// The durations of acquisitions, in ms.
    pub acquisition_latency_ms: Latencies,
    /// The sums of the derived managers, if the manager has had any.
    pub derived: Option<DerivedSumsData>,
}

/// The number of derived managers, and the sums of their counters.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "documented in manager::snapshot::DerivedSums")]
pub struct DerivedSumsData {
    pub managers: u32,
    pub tokens: u32,
    pub counters: CounterData,
}

/// The last failed acquisition.
#[napi(object, object_from_js = false)]
pub struct LastFailure {
    /// The error's code.
    pub code: String,
    /// When the acquisition failed, in ms since the epoch.
    pub at: f64,
}

/// The counters of a manager.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "documented in manager::snapshot::Counters")]
pub struct CounterData {
    pub hits: f64,
    pub joins: f64,
    pub acquisitions: f64,
    pub retries: f64,
    pub stale_served: f64,
    pub invalidations: f64,
    pub invalidations_kept: f64,
    pub invalidations_ignored: f64,
    pub suppressed: f64,
    pub store_hits: f64,
    pub store_failures: f64,
}

/// The durations of acquisitions, in ms.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "documented in manager::snapshot::Latency")]
pub struct Latencies {
    pub count: f64,
    pub sum: f64,
    pub max: f64,
    pub last: f64,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Returns whole milliseconds since the epoch, as `Date.now()` does.
pub(super) fn epoch_ms(wall: Duration) -> f64 {
    ms(wall).floor()
}

/// Returns the seconds from `from` to `to`, which are negative if `to` is earlier.
fn seconds_between(from: Duration, to: Duration) -> f64 {
    to.as_secs_f64() - from.as_secs_f64()
}

/// Returns the event for a request to send.
pub(super) fn request_wanted(request: u32, what: TokenRequest) -> EventData {
    let text = |body: Zeroizing<Vec<u8>>| std::str::from_utf8(&body).map(str::to_owned);
    let body = what.body.and_then(|body| text(body).ok());
    let headers = what.headers.iter();
    let headers = headers
        .map(|(name, value)| HeaderData {
            name: name.to_owned(),
            value: Confidential(Zeroizing::new(value.expose().to_owned())),
        })
        .collect();
    EventData::RequestWanted {
        request,
        url: what.endpoint.as_str().to_owned(),
        authorization: what.authorization.map(Confidential),
        headers,
        body: body.map(Zeroizing::new).map(Confidential),
    }
}

/// Returns the event for a call to the store.
pub(super) fn store_wanted(call: u32, command: &Command) -> EventData {
    let (operation, key) = match command {
        Command::Get(key) => ("get", Some(key)),
        Command::Set(key, ..) => ("set", Some(key)),
        Command::Delete(key) => ("delete", Some(key)),
        // A ping causes no event, because this thread answers it itself.
        Command::Remake | Command::Ping => ("remake", None),
    };
    let (value, ttl_ms) = match command {
        #[expect(clippy::cast_precision_loss, reason = "at most a day")]
        Command::Set(_, value, millis) => (Some(value.clone()), Some(*millis as f64)),
        _ => (None, None),
    };
    EventData::StoreWanted {
        call,
        operation: operation.to_owned(),
        key: key.map(|key| key.as_str().to_owned()),
        value,
        ttl_ms,
    }
}

impl TokenData {
    pub(super) fn new(token: Arc<Token>, version: u32) -> Self {
        let sent = token.sent.wall();
        Self {
            is_bound: token.dpop_key.is_some(),
            scope: token.scope.as_deref().map(str::to_owned),
            issued_at: epoch_ms(sent),
            expires_at: epoch_ms(sent.saturating_add(token.life.hard())),
            version,
            token: Bearer(token),
        }
    }
}

impl FailureData {
    pub(super) fn new(error: &Error, retry_after: Option<Duration>) -> Self {
        let details = error.details();
        Self {
            code: error.kind().code().to_owned(),
            message: details.message.clone(),
            retryable: details.retryable,
            system_code: details.system_code.map(str::to_owned),
            status: details.status.map(u32::from),
            oauth_error: details.oauth_error.clone(),
            oauth_error_description: details.oauth_error_description.clone(),
            retry_after_ms: retry_after.map(|wait| ms(wait).ceil()),
            attempts: details.attempts,
            token_endpoint: details.token_endpoint.clone(),
            client_id: details.client_id.clone(),
        }
    }
}

impl From<Counters> for CounterData {
    fn from(counters: Counters) -> Self {
        Self {
            hits: counters.hits,
            joins: counters.joins,
            acquisitions: counters.acquisitions,
            retries: counters.retries,
            stale_served: counters.stale_served,
            invalidations: counters.invalidations,
            invalidations_kept: counters.invalidations_kept,
            invalidations_ignored: counters.invalidations_ignored,
            suppressed: counters.suppressed,
            store_hits: counters.store_hits,
            store_failures: counters.store_failures,
        }
    }
}

impl From<Snapshot> for SnapshotData {
    fn from(snapshot: Snapshot) -> Self {
        let state = match snapshot.condition {
            Condition::Empty => "empty",
            Condition::Fresh => "fresh",
            Condition::Stale => "stale",
            Condition::Failing => "failing",
            Condition::Closed => "closed",
        };
        let token = snapshot.token;
        let (counters, latency) = (snapshot.counters, snapshot.latency);
        Self {
            name: snapshot.name,
            dpop_thumbprint: snapshot.dpop_thumbprint,
            state: state.to_owned(),
            token_age_seconds: token.map(|token| token.age.as_secs_f64()),
            seconds_to_soft_expiry: token.map(|token| seconds_between(token.age, token.soft)),
            seconds_to_hard_expiry: token.map(|token| seconds_between(token.age, token.hard)),
            last_success_at: snapshot.last_success.map(|moment| epoch_ms(moment.wall())),
            last_failure: snapshot.last_failure.map(|(moment, kind)| LastFailure {
                code: kind.code().to_owned(),
                at: epoch_ms(moment.wall()),
            }),
            counters: counters.into(),
            derived: snapshot.derived.map(|derived| DerivedSumsData {
                managers: derived.managers,
                tokens: derived.tokens,
                counters: derived.counters.into(),
            }),
            acquisition_latency_ms: Latencies {
                count: latency.count,
                sum: ms(latency.sum.into()),
                max: ms(latency.max.into()),
                last: ms(latency.last.into()),
            },
        }
    }
}
