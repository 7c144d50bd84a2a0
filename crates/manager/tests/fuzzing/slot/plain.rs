//! Converts the model's plain values to the slot's types, and back.

use std::time::Duration;

use manager::clock::Moment;
use manager::error::Error;
use manager::slot::{Decision, Token};
use stand_ins::scripted::config;

use super::facts::{LUCK, ModelFailure, Ns, Time};
use super::model::ModelAnswer;

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
            start: *new_flight,
            warns: *warns_of_minimum,
        },
        Decision::Wait { flight, new_flight } => ModelAnswer::Wait {
            flight: flight.0,
            start: *new_flight,
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

pub(crate) fn moment(time: Time) -> Moment {
    Moment::new(duration(time.mono), duration(time.wall))
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
        Some(wait) => error.in_acquisition(&config(), None, 1, Some(duration(wait))),
    }
}
