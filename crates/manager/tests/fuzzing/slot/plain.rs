//! The model's plain values as the slot's types, and back.

use std::sync::Arc;
use std::time::Duration;

use manager::clock::Moment;
use manager::config::{AssertionSettings, Config, Credential, CredentialConfig, Target};
use manager::error::Error;
use manager::slot::Token;
use manager::slot::{Call, Clearing, Condition, Decision, Invalidation, NewFlight};
use oauth::{
    ClientAuthentication, ClientCredentialsGrant, ClientSecret, ExtraHeaders, TokenEndpoint,
};

use super::facts::{LUCK, ModelFailure, Ns, Time};
use super::model::{Ask, Look, ModelAnswer, ModelStart, Verdict};

pub(crate) fn call(ask: Ask) -> Call {
    match ask {
        Ask::Any => Call::Any,
        Ask::Minimum(minimum) => Call::Minimum(duration(minimum)),
        Ask::Forced => Call::Forced,
    }
}

pub(crate) fn answer(decision: &Decision) -> ModelAnswer {
    match decision {
        Decision::Use {
            token,
            is_stale,
            new_flight,
            warns_of_minimum,
        } => ModelAnswer::Take {
            token: number(token),
            is_stale: *is_stale,
            start: new_flight.map(start),
            warns: *warns_of_minimum,
        },
        Decision::Wait { flight, new_flight } => ModelAnswer::Wait {
            flight: flight.0,
            start: new_flight.map(start),
        },
        Decision::Cooling { error, retry_after } => ModelAnswer::Cooling {
            failure: failure(error),
            retry_after: ns(*retry_after),
        },
        Decision::WaitAndAskAgain { flight } => ModelAnswer::Wait {
            flight: flight.0,
            start: None,
        },
        Decision::Closed => ModelAnswer::Closed,
    }
}

pub(crate) fn verdict(invalidation: Invalidation) -> Verdict {
    match invalidation {
        Invalidation::Dropped => Verdict::Dropped,
        Invalidation::Kept => Verdict::Kept,
        Invalidation::Ignored => Verdict::Ignored,
    }
}

pub(crate) fn clearing(clearing: Clearing) -> Verdict {
    match clearing {
        Clearing::Dropped => Verdict::Dropped,
        Clearing::Detached => Verdict::Detached,
        Clearing::Kept => Verdict::Kept,
        Clearing::Nothing => Verdict::Ignored,
    }
}

pub(crate) fn look(condition: Condition) -> Look {
    match condition {
        Condition::Empty => Look::Empty,
        Condition::Fresh => Look::Fresh,
        Condition::Stale => Look::Stale,
        Condition::Failing => Look::Failing,
        Condition::Closed => Look::Closed,
    }
}

pub(crate) fn moment(time: Time) -> Moment {
    Moment {
        monotonic: duration(time.mono),
        wall: duration(time.wall),
    }
}

pub(crate) fn duration(ns: Ns) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap())
}

pub(crate) fn ns(duration: Duration) -> Ns {
    Ns::try_from(duration.as_nanos()).unwrap()
}

pub(crate) fn part(jitter: Ns) -> f64 {
    let sixteenths = |jitter: Ns| f64::from(i32::try_from(jitter).unwrap());
    sixteenths(jitter) / sixteenths(LUCK)
}

pub(crate) fn name(token: u32) -> String {
    format!("t{token}")
}

pub(crate) fn number(token: &Token) -> u32 {
    let name = token.access_token.expose();
    name.strip_prefix('t').unwrap().parse().unwrap()
}

pub(crate) fn start(new_flight: NewFlight) -> ModelStart {
    ModelStart {
        flight: new_flight.flight.0,
        attempts: new_flight.attempts,
    }
}

pub(crate) fn failure(error: &Error) -> ModelFailure {
    ModelFailure {
        kind: error.kind(),
        retry_after: error.details().retry_after.map(ns),
    }
}

pub(crate) fn error(failure: ModelFailure) -> Error {
    let error = Error::new(failure.kind, "");
    match failure.retry_after {
        None => error,
        Some(wait) => {
            CONFIG.with(|config| error.in_acquisition(config, None, 1, Some(duration(wait))))
        }
    }
}

thread_local! {
    static CONFIG: Config = Config {
        target: Target::Endpoint(TokenEndpoint::parse("http://127.0.0.1:1/token").unwrap()),
        assertion: AssertionSettings::default(),
        grant: ClientCredentialsGrant {
            client_id: String::new(),
            authentication: ClientAuthentication::SecretPost,
            scope: None,
            parameters: Vec::new(),
        },
        headers: ExtraHeaders::default(),
        credential: CredentialConfig::Given(Credential::Secret(Arc::new(
            ClientSecret::new("s".to_owned()).unwrap(),
        ))),
        expiry_buffer: Duration::ZERO,
        request_timeout: Duration::from_secs(15),
        background_refresh: true,
        name: String::new(),
        has_logger: false,
    };
}
