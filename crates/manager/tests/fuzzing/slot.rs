//! Compares the slot with its model: the bytes of an input become a sequence of events. Many events
//! advance the time to a point at which the state changes, or to the nanosecond before or after it.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use manager::error::ErrorKind;
use manager::slot::Call;

#[cfg(test)]
#[path = "slot/exhaustive.rs"]
mod exhaustive;
#[path = "slot/facts.rs"]
mod facts;
#[cfg(test)]
#[path = "slot/key.rs"]
mod key;
#[path = "slot/log.rs"]
mod log;
#[path = "slot/model.rs"]
mod model;
#[path = "slot/pair.rs"]
mod pair;
#[path = "slot/plain.rs"]
mod plain;
#[cfg(test)]
#[path = "slot/scenarios.rs"]
mod scenarios;

use facts::{LUCK, ModelFailure, Ns, SECOND};
use pair::{Comparison, SlotEvent};

/// The maximum length of a sequence. It is limited because the model reads its whole log for every
/// answer.
const MOST_EVENTS: usize = if cfg!(test) { 40 } else { 150 };

/// Panics if the slot and its model differ, or if the slot breaks a rule that needs no model.
pub fn run(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let Some(header) = bytes.next() else { return };
    let buffer = duration(bytes.next().unwrap_or(0));
    let mut pair = Comparison::new(header % 4 != 0, buffer);
    let mut trail = Vec::new();
    while trail.len() < MOST_EVENTS
        && let Some(event) = event(&mut bytes, &pair)
    {
        trail.push(event);
        if let Err(fault) = pair.apply(event) {
            panic!("{fault}\nbuffer {buffer}, header {header}, {trail:#?}");
        }
    }
}

/// Returns the next event, if enough bytes remain. An event for a flight that does not exist
/// becomes a call.
fn event(bytes: &mut impl Iterator<Item = u8>, pair: &Comparison) -> Option<SlotEvent> {
    let kind = bytes.next()?;
    Some(match kind % 32 {
        0..4 => SlotEvent::Call(Call::Any),
        4..6 => SlotEvent::Call(Call::Minimum(plain::duration(duration(bytes.next()?)))),
        6 => SlotEvent::Call(Call::Forced),
        7..9 => SlotEvent::RejectLast,
        9 => SlotEvent::RejectOther,
        10 => SlotEvent::Clear,
        11 => SlotEvent::Wake { is_used: false },
        12 => SlotEvent::Wake { is_used: true },
        13..15 => SlotEvent::Pass(duration(bytes.next()?)),
        15..21 => {
            let points = pair.model.points(pair.now);
            let (which, tick) = (bytes.next()?, Ns::from(kind / 32 % 3) - 1);
            let point = points.get(usize::from(which) % points.len().max(1));
            SlotEvent::Pass(point.map_or(SECOND, |wait| wait + tick))
        }
        21 => SlotEvent::WallStep(duration(bytes.next()?)),
        22 => SlotEvent::WallStep(-duration(bytes.next()?)),
        23 => SlotEvent::Configure {
            in_background: kind & 32 != 0,
            changes_grant: kind & 64 != 0,
        },
        24 if kind >= 192 => SlotEvent::Close,
        _ => {
            let (which, what) = (bytes.next()?, bytes.next()?);
            let in_the_air = pair.model.log.in_the_air();
            // The last flight is the most likely one.
            let back = usize::from(which / 64) % in_the_air.len().max(1);
            let Some(&(flight, _)) = in_the_air.iter().rev().nth(back) else {
                return Some(SlotEvent::Call(Call::Any));
            };
            let jitter = Ns::from(which) % (LUCK + 1);
            if kind & 32 == 0 || what % 4 == 0 {
                SlotEvent::Succeed {
                    flight,
                    lifetime: duration(what),
                    has_travelled: kind & 64 != 0,
                    jitter,
                }
            } else {
                let asked = bytes.next()?;
                let failure = ModelFailure {
                    kind: ErrorKind::ALL[usize::from(what) % ErrorKind::ALL.len()],
                    retry_after: (asked % 4 == 0).then(|| duration(asked)),
                };
                SlotEvent::Fail {
                    flight,
                    failure,
                    jitter,
                }
            }
        }
    })
}

/// Returns a time from zero to more than a day, usually a short one. It is a multiple of 4 ms, so
/// that every fraction of a lifetime that the slot uses is a whole number of nanoseconds.
fn duration(byte: u8) -> Ns {
    let unit_in_ms = [4, 40, 400, 1_000, 4_000, 20_000, 300_000, 3_600_000];
    Ns::from(byte / 8) * unit_in_ms[usize::from(byte % 8)] * (SECOND / 1_000)
}
