//! Decides whether a manager calls its shared store. After failures, the manager stops calling the
//! store until a probe shows that the store answers again.
//!
//! The decisions are pure. [`SharedStore`](super::SharedStore) makes the calls and the probes.

/// A call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads an entry.
    Get,
    /// Writes an entry.
    Set,
    /// Deletes an entry.
    Delete,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The store did not answer in time.
    TimedOut,
    /// The store returned an error.
    Refused,
}

/// The number of consecutive errors that open the circuit. A single error may affect only one
/// entry, for example because its value is corrupted.
const MOST_ERRORS: u32 = 2;
/// The number of failed probes after which the manager makes the store replace its client.
const PROBES_PER_CLIENT: u32 = 2;

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        errors: u32,
    },
    /// A call took too long, and the manager is finding out whether the event loop was blocked.
    Suspicious,
    Open {
        probes: u32,
    },
}

/// The state of the calls to one store.
#[derive(Debug)]
pub struct Circuit {
    state: State,
    /// The operation whose failure the manager has logged and that has not succeeded since.
    failing: Option<Operation>,
}

/// The effect of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether the failure opened the circuit, so that probes must begin.
    pub opens: bool,
    /// Whether to log the failure: only the first of a series is logged.
    pub is_first: bool,
}

/// The effect of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The store answers again.
    Closes,
    /// The store does not answer.
    StaysOpen,
    /// The store does not answer, and its client may no longer work.
    Remakes,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: State::Closed { errors: 0 },
            failing: None,
        }
    }
}

impl Circuit {
    /// Whether the manager must not call the store.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Records that a call took too long. Returns whether the manager must find out the cause.
    pub const fn suspect(&mut self) -> bool {
        let is_closed = matches!(self.state, State::Closed { .. });
        if is_closed {
            self.state = State::Suspicious;
        }
        is_closed
    }

    /// Records that a blocked event loop, and not the store, delayed the call.
    pub const fn acquit(&mut self) {
        if matches!(self.state, State::Suspicious) {
            self.state = State::Closed { errors: 0 };
        }
    }

    /// Records a failed call.
    pub fn failed(&mut self, operation: Operation, fault: Fault) -> Failed {
        let opens = match (&mut self.state, fault) {
            (State::Closed { .. } | State::Suspicious, Fault::TimedOut) => true,
            (State::Closed { errors }, Fault::Refused) => {
                *errors = errors.saturating_add(1);
                *errors >= MOST_ERRORS
            }
            // The call began before the circuit opened.
            (State::Open { .. } | State::Suspicious, _) => {
                return Failed {
                    opens: false,
                    is_first: false,
                };
            }
        };
        if opens {
            self.state = State::Open { probes: 0 };
        }
        let is_first = self.failing.is_none();
        self.failing.get_or_insert(operation);
        Failed { opens, is_first }
    }

    /// Records a call that succeeded. Returns whether to log the end of a series of failures.
    pub fn succeeded(&mut self, operation: Operation) -> bool {
        let State::Closed { errors } = &mut self.state else {
            return false;
        };
        *errors = 0;
        self.failing
            .take_if(|failing| *failing == operation)
            .is_some()
    }

    /// Records the result of a probe.
    pub fn probed(&mut self, has_answered: bool) -> Probed {
        let State::Open { probes } = &mut self.state else {
            return Probed::Closes;
        };
        if has_answered {
            *self = Self::default();
            return Probed::Closes;
        }
        *probes = probes.wrapping_add(1);
        if probes.is_multiple_of(PROBES_PER_CLIENT) {
            Probed::Remakes
        } else {
            Probed::StaysOpen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fault::{Refused, TimedOut};
    use Operation::{Get, Set};

    /// An event, and its expected effect.
    #[derive(Clone, Copy)]
    enum Step {
        /// A failure: whether it opens the circuit, and whether the manager logs it.
        Fails(Operation, Fault, bool, bool),
        /// A success, and whether the manager logs it.
        Succeeds(Operation, bool),
        Probe(bool, Probed),
        /// A call that takes too long, and whether it is the first one.
        Suspect(bool),
        Acquit,
    }

    #[test]
    fn the_circuit_opens_after_a_timeout_or_two_errors_and_closes_after_a_probe() {
        use Step::{Acquit, Fails, Probe, Succeeds, Suspect};
        for (name, steps) in [
            ("works", &[Succeeds(Get, false), Succeeds(Set, false)][..]),
            (
                "answers after the event loop was blocked",
                &[Suspect(true), Suspect(false), Acquit, Succeeds(Get, false), Suspect(true)],
            ),
            (
                "does not answer",
                &[
                    Suspect(true),
                    Fails(Get, TimedOut, true, true),
                    Fails(Get, TimedOut, false, false),
                    Succeeds(Get, false),
                    Probe(false, Probed::StaysOpen),
                    Probe(false, Probed::Remakes),
                    Probe(false, Probed::StaysOpen),
                    Probe(false, Probed::Remakes),
                    Probe(true, Probed::Closes),
                    Fails(Get, TimedOut, true, true),
                ],
            ),
            (
                "returns errors",
                &[
                    Fails(Get, Refused, false, true),
                    Fails(Set, Refused, true, false),
                    Probe(true, Probed::Closes),
                ],
            ),
            (
                "one entry is damaged",
                &[
                    Fails(Get, Refused, false, true),
                    Succeeds(Set, false),
                    Succeeds(Get, true),
                    Succeeds(Get, false),
                ],
            ),
            (
                "full",
                &[
                    Fails(Set, Refused, false, true),
                    Succeeds(Get, false),
                    Fails(Set, Refused, false, false),
                    Succeeds(Get, false),
                    Succeeds(Set, true),
                ],
            ),
        ] {
            let mut circuit = Circuit::default();
            for (number, step) in steps.iter().enumerate() {
                match *step {
                    Fails(operation, fault, opens, is_first) => {
                        let expected = Failed { opens, is_first };
                        assert_eq!(circuit.failed(operation, fault), expected, "{name}: {number}");
                    }
                    Succeeds(operation, is_logged) => {
                        assert_eq!(circuit.succeeded(operation), is_logged, "{name}: {number}");
                    }
                    Suspect(is_first) => {
                        assert_eq!(circuit.suspect(), is_first, "{name}: {number}");
                    }
                    Acquit => circuit.acquit(),
                    Probe(has_answered, expected) => {
                        assert!(circuit.is_open(), "{name}: {number}");
                        assert_eq!(circuit.probed(has_answered), expected, "{name}: {number}");
                    }
                }
            }
        }
    }
}
