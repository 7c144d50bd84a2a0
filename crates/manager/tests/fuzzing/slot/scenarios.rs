//! The possible events of each scenario, and the states from which its sequences start.

use manager::error::ErrorKind;
use manager::slot::Call;

use super::facts::{LUCK, ModelFailure, Ns, SECOND};
use super::pair::{Comparison, SlotEvent};
use super::plain::duration;

/// The parameters that choose the possible events, and the length of the sequences.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) length: usize,
    pub(crate) starts: fn() -> Vec<Vec<SlotEvent>>,
    pub(crate) in_background: bool,
    pub(crate) buffer: Ns,
    long: Ns,
    short: Ns,
    jitter: Ns,
    met: Ns,
    missed: Ns,
    /// The steps of the wall clock. A suspension of the machine looks like a step forward.
    steps: &'static [Ns],
}

const DEFAULT: Scenario = Scenario {
    name: "default options",
    length: 8,
    starts: || vec![Vec::new()],
    in_background: true,
    buffer: 60 * SECOND,
    long: 300 * SECOND,
    short: 2 * SECOND,
    jitter: 0,
    met: SECOND,
    missed: 280 * SECOND,
    steps: &[],
};

pub(crate) const SCENARIOS: [Scenario; 5] = [
    DEFAULT,
    Scenario {
        name: "default options, from states far off",
        length: 4,
        starts: far_off,
        ..DEFAULT
    },
    Scenario {
        name: "clocks that are stepped",
        length: 6,
        steps: &[-100 * SECOND, 100 * SECOND, 3600 * SECOND],
        ..DEFAULT
    },
    Scenario {
        name: "clocks that are stepped, from states far off",
        length: 3,
        starts: far_off,
        steps: &[-100 * SECOND, -SECOND, SECOND, 100 * SECOND, 3600 * SECOND],
        ..DEFAULT
    },
    Scenario {
        name: "no background, no buffer, much jitter",
        length: 6,
        in_background: false,
        buffer: 0,
        long: 60 * SECOND,
        short: 8 * SECOND,
        jitter: LUCK,
        // A short token meets the minimum with exactly a tenth of its life to spare.
        missed: 6_200_000_000,
        ..DEFAULT
    },
];

const NETWORK: ModelFailure = ModelFailure {
    kind: ErrorKind::Network,
    retry_after: None,
};
const OAUTH: ModelFailure = ModelFailure {
    kind: ErrorKind::OAuth,
    retry_after: None,
};
const HTTP: ModelFailure = ModelFailure {
    kind: ErrorKind::Http,
    retry_after: Some(40 * SECOND),
};

const fn lands(flight: u32, lifetime: Ns) -> SlotEvent {
    SlotEvent::Succeed {
        flight,
        lifetime,
        has_travelled: false,
        jitter: 0,
    }
}

const fn fails(flight: u32, failure: ModelFailure) -> SlotEvent {
    SlotEvent::Fail {
        flight,
        failure,
        jitter: 0,
    }
}

/// Returns sequences of events that lead to distant states.
fn far_off() -> Vec<Vec<SlotEvent>> {
    let call = SlotEvent::Call(Call::Any);
    let (short, long) = (DEFAULT.short, DEFAULT.long);
    let holding = [call, lands(1, long)];
    let is_stale = SlotEvent::Pass(240 * SECOND);
    let changes = SlotEvent::Configure {
        in_background: true,
        changes_grant: true,
    };
    let minimum = SlotEvent::Call(Call::Minimum(duration(DEFAULT.missed)));
    let mut starts = vec![
        // A stale token whose refresh failed or brought no better token.
        [&holding[..], &[is_stale, call, fails(2, NETWORK)]].concat(),
        [&holding[..], &[is_stale, call, lands(2, 0)]].concat(),
        // A stale token whose refresh failed, while a detached flight can still land.
        vec![
            call,
            SlotEvent::Clear,
            call,
            lands(2, short),
            SlotEvent::Pass(SECOND),
            call,
            fails(3, HTTP),
        ],
        // A token of a former configuration, and a failed flight of the new one.
        [&holding[..], &[changes, fails(2, NETWORK)]].concat(),
        // A minimum that the token barely meets, and misses later.
        vec![minimum, lands(1, long), SlotEvent::Pass(20 * SECOND)],
        // A rejected token whose replacement is rejected as well.
        [&holding[..], &[SlotEvent::RejectLast, call, lands(2, long), SlotEvent::RejectLast]]
            .concat(),
        // A forced flight beside a held token.
        [&holding[..], &[SlotEvent::Call(Call::Forced), minimum]].concat(),
    ];
    // Failures in a row, of both kinds.
    for failure in [OAUTH, NETWORK] {
        for count in [2, 4, 6] {
            let row = (1..=count)
                .flat_map(|flight| [SlotEvent::Pass(30 * SECOND), call, fails(flight, failure)]);
            starts.push(row.collect());
        }
    }
    starts
}

impl Scenario {
    /// Returns every event that can happen next.
    pub(crate) fn choices(&self, pair: &Comparison, may_pass: bool) -> Vec<SlotEvent> {
        let configure = |in_background, changes_grant| SlotEvent::Configure {
            in_background,
            changes_grant,
        };
        let mut choices = vec![
            SlotEvent::Call(Call::Any),
            SlotEvent::Call(Call::Minimum(duration(self.met))),
            SlotEvent::Call(Call::Minimum(duration(self.missed))),
            SlotEvent::Call(Call::Forced),
            SlotEvent::RejectLast,
            SlotEvent::RejectOther,
            SlotEvent::Clear,
            SlotEvent::Wake { is_used: true },
            SlotEvent::Wake { is_used: false },
            configure(self.in_background, true),
            configure(self.in_background, false),
            configure(!self.in_background, false),
            SlotEvent::Close,
        ];
        let jitter = self.jitter;
        let in_the_air = pair.model.log.in_the_air();
        for &(flight, _) in &in_the_air {
            let tokens = [self.long, self.short, 0].map(|lifetime| SlotEvent::Succeed {
                flight,
                lifetime,
                has_travelled: true,
                jitter,
            });
            let failures = [OAUTH, NETWORK, HTTP].map(|failure| SlotEvent::Fail {
                flight,
                failure,
                jitter,
            });
            choices.extend(tokens.into_iter().chain(failures));
        }
        choices.extend(self.steps.iter().map(|by| SlotEvent::WallStep(*by)));
        // Two consecutive waits equal one longer wait.
        if may_pass {
            let points = pair.model.points(pair.now);
            let mut waits: Vec<Ns> = points
                .into_iter()
                .flat_map(|wait| [wait - 1, wait, wait + 1])
                .collect();
            if !in_the_air.is_empty() {
                waits.push(self.short);
            }
            waits.retain(|wait| *wait > 0);
            waits.sort_unstable();
            waits.dedup();
            choices.extend(waits.into_iter().map(SlotEvent::Pass));
        }
        choices
    }
}
