//! The model's plain values as the slot's types, and back.

use std::sync::Arc;
use std::time::Duration;

use keycloak_token_manager::manager::clock::Moment;
use keycloak_token_manager::manager::config::{
    AssertionSettings, Config, Credential, Material, Target,
};
use keycloak_token_manager::manager::error::Error;
use keycloak_token_manager::manager::held::Grant;
use keycloak_token_manager::manager::slot::{Call, Condition, Decision, Invalidation, Launch};
use keycloak_token_manager::oauth::{
    ClientAuthentication, ClientCredentialsGrant, ClientSecret, TokenEndpoint,
};

use super::facts::{Failure, LUCK, Ns, Time};
use super::model::{Answer, Ask, Look, Start, Verdict};

pub(crate) fn call(ask: Ask) -> Call {
    match ask {
        Ask::Any => Call::Any,
        Ask::Minimum(minimum) => Call::Minimum(duration(minimum)),
        Ask::Forced => Call::Forced,
    }
}

pub(crate) fn answer(decision: &Decision) -> Answer {
    match decision {
        Decision::Use {
            grant,
            is_stale,
            launch,
            warns_of_minimum,
        } => Answer::Take {
            token: number(grant),
            is_stale: *is_stale,
            start: launch.map(start),
            warns: *warns_of_minimum,
        },
        Decision::Wait { flight, launch } => Answer::Wait {
            flight: flight.0,
            start: launch.map(start),
        },
        Decision::Cooling { error, retry_after } => Answer::Cooling {
            failure: failure(error),
            retry_after: ns(*retry_after),
        },
        Decision::Closed => Answer::Closed,
    }
}

pub(crate) fn verdict(invalidation: Invalidation) -> Verdict {
    match invalidation {
        Invalidation::Dropped => Verdict::Dropped,
        Invalidation::Kept => Verdict::Kept,
        Invalidation::Ignored => Verdict::Ignored,
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

pub(crate) fn part(luck: Ns) -> f64 {
    let sixteenths = |luck: Ns| f64::from(i32::try_from(luck).unwrap());
    sixteenths(luck) / sixteenths(LUCK)
}

pub(crate) fn name(token: u32) -> String {
    format!("t{token}")
}

pub(crate) fn number(grant: &Grant) -> u32 {
    let name = grant.token.expose();
    name.strip_prefix('t').unwrap().parse().unwrap()
}

pub(crate) fn start(launch: Launch) -> Start {
    Start {
        flight: launch.flight.0,
        attempts: launch.attempts,
    }
}

pub(crate) fn failure(error: &Error) -> Failure {
    Failure {
        kind: error.kind(),
        retry_after: error.details().retry_after.map(ns),
    }
}

pub(crate) fn error(failure: Failure) -> Error {
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
        credential: Credential::Given(Material::Secret(Arc::new(
            ClientSecret::new("s".to_owned()).unwrap(),
        ))),
        expiry_buffer: Duration::ZERO,
        request_timeout: Duration::from_secs(15),
        background_refresh: true,
        name: String::new(),
        has_logger: false,
    };
}
