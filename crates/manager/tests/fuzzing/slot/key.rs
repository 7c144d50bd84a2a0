//! Hashes the state that determines the future of a pair.

use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use manager::slot::FlightId;

use super::facts::{Ns, Time};
use super::log::Log;
use super::pair::Comparison;

impl Log {
    /// Returns all facts from which the log derives later answers. Two logs with equal facts always
    /// give the same answers. The facts contain times relative to now, and flights counted from the
    /// last one.
    fn essence(&self, now: Time) -> impl Debug {
        let current = self.current();
        let flights: Vec<_> = self
            .in_the_air()
            .into_iter()
            .map(|(flight, at)| {
                let is_current = current == Some(flight);
                let (is_background, is_awaited) =
                    (self.is_background(flight), self.is_awaited(flight));
                (FlightId(flight), at, is_background, is_awaited, is_current)
            })
            .collect();
        let tokens = self.tokens(now);
        let held = tokens.held.map(|held| {
            let (sent, lifetime) = (held.token.sent, held.token.lifetime);
            let is_outdated = self.is_of_another_configuration(&held);
            let minima = (self.pause(&held).1, self.has_warned(&held));
            (sent, lifetime, self.plan(&held), minima, is_outdated)
        });
        let successor = tokens.successor.map(|successor| {
            let (sent, lifetime) = (successor.token.sent, successor.token.lifetime);
            let jitter = self.jitter(successor.granted);
            (sent, lifetime, successor.arrival, successor.longest, jitter)
        });
        let minimum = current.and_then(|flight| self.minimum(flight));
        let options = (self.is_closed(), self.is_in_background());
        (options, flights, minimum, held, successor, self.row(), self.last_background())
    }
}

impl Comparison {
    /// Returns a hash of the state that decides the future of both sides: the fields of the slot,
    /// all of which `Debug` shows, and the essence of the log. Times count from now, and flights
    /// and tokens count from the last one, because both sides only subtract and compare them.
    pub(crate) fn key(&self) -> u64 {
        let mut text = format!("{:?} {:?}", self.slot, self.model.log.essence(self.now));
        let launches = Ns::from(self.model.log.launches());
        let last_token = self.last.map(|(_, id)| Ns::from(id.0));
        for (marker, last) in [
            ("monotonic: ", self.now.mono),
            ("mono: ", self.now.mono),
            ("wall: ", self.now.wall),
            ("FlightId(", launches),
            ("last_flight: ", launches),
            ("TokenId(", last_token.unwrap_or(0)),
        ] {
            text = relative(&text, marker, last);
        }
        let mut hasher = DefaultHasher::new();
        (text, last_token.is_some()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Returns the text with each number after the marker replaced by its distance from `last`.
fn relative(text: &str, marker: &str, last: Ns) -> String {
    let mut parts = text.split(marker);
    let mut relative = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find([',', ')', ' ']).unwrap();
        let distance = last - number(&part[..end]);
        write!(relative, "{marker}{distance}{}", &part[end..]).unwrap();
    }
    relative
}

/// Parses a number, or a duration as nanoseconds, from its `Debug` text.
fn number(text: &str) -> Ns {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let width = match &text[digits.len()..] {
        "s" => 9,
        "ms" => 6,
        "µs" => 3,
        _ => 0,
    };
    format!("{whole}{decimals:0<width$}").parse().unwrap()
}
