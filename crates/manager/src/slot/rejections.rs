//! Limits how often the slot drops rejected tokens, so that a resource server that rejects every
//! token cannot turn each request into a token request.
//!
//! Each route has its own spacing: after a drop, the route cannot cause another drop until the
//! spacing has passed since the slot adopted the replacement. The spacing doubles with each further
//! drop. All routes share one budget. Part of it is reserved for routes that have rejected no
//! replacement, so that a route that rejects every token cannot prevent another route from getting
//! a new token.

use std::time::Duration;

use crate::acquire::backoff::doubled;
use crate::clock::Moment;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// The minimum time between two drops, whichever routes cause them.
const BETWEEN_DROPS: Duration = Duration::from_secs(1);
const BUDGET: u32 = 8;
/// The part of the budget that is reserved for routes that have rejected no replacement.
const RESERVE: u32 = 3;
const REFILL: Duration = Duration::from_mins(1);
/// The maximum number of routes that the slot remembers. The slot first forgets the route whose
/// last drop is oldest.
const MAX_ROUTES: usize = 256;

/// Identifies a route: a hash of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u64);

/// The rejections of one manager.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejections {
    record: Option<Box<Record>>,
    budget: RouteBudget,
}

/// The drop budget. A manager and its derived managers share one budget: see
/// [`Slot::swap_budget`](super::Slot::swap_budget).
#[derive(Clone, Debug, Default)]
pub struct RouteBudget(Option<Box<Spending>>);

#[derive(Clone, Debug)]
struct Spending {
    spent: u32,
    /// When the current refill interval began.
    refilled: Moment,
}

impl RouteBudget {
    /// Returns the remaining units.
    fn left(&mut self, now: Moment) -> u32 {
        let Some(spending) = &mut self.0 else {
            return BUDGET;
        };
        while spending.spent > 0 && now.since(spending.refilled) >= REFILL {
            spending.spent = spending.spent.saturating_sub(1);
            spending.refilled = spending.refilled.plus(REFILL);
        }
        if spending.spent == 0 {
            spending.refilled = now;
        }
        BUDGET.saturating_sub(spending.spent)
    }

    fn spend(&mut self, now: Moment) {
        let spending = self.0.get_or_insert_with(|| {
            Box::new(Spending {
                spent: 0,
                refilled: now,
            })
        });
        spending.spent = spending.spent.saturating_add(1);
    }

    fn give_back(&mut self) {
        if let Some(spending) = &mut self.0 {
            spending.spent = spending.spent.saturating_sub(1);
        }
    }
}

#[derive(Clone, Debug)]
struct Record {
    /// The routes that have caused a drop and are not forgiven. The route whose last drop is oldest
    /// comes first.
    routes: Vec<Route>,
    last_drop: Moment,
}

#[derive(Clone, Debug)]
struct Route {
    id: RouteId,
    /// The number of consecutive drops.
    drops: u32,
    /// When the slot adopted the replacement; `None` until then.
    replaced: Option<Moment>,
    /// When the route first accepted the held token.
    accepted: Option<Moment>,
    /// Whether the route rejected the held token.
    has_rejected: bool,
    /// Whether the unit that the route's last drop cost is still missing from the budget. An
    /// acceptance returns the unit.
    owes_unit: bool,
}

impl Route {
    fn spacing(&self) -> Duration {
        doubled(SHORTEST, self.drops, LONGEST)
    }

    fn is_too_soon(&self, now: Moment) -> bool {
        self.replaced
            .is_some_and(|replaced| now.since(replaced) < self.spacing())
    }

    /// Whether the route first accepted the held token at least one spacing ago and has not
    /// rejected it.
    fn is_healed(&self, now: Moment) -> bool {
        let heals = |accepted| now.since(accepted) >= self.spacing();
        !self.has_rejected && self.accepted.is_some_and(heals)
    }
}

impl Rejections {
    /// Records that a route rejected the held token. Returns whether the slot may drop the token.
    pub(super) fn allows_drop(&mut self, now: Moment, id: RouteId) -> bool {
        let left = self.budget.left(now);
        let Some(record) = &mut self.record else {
            return left > 0;
        };
        record.routes.retain(|route| !route.is_healed(now));
        let is_early = now.since(record.last_drop) < BETWEEN_DROPS;
        match record.routes.iter_mut().find(|route| route.id == id) {
            Some(route) => {
                route.has_rejected = true;
                !is_early && !route.is_too_soon(now) && left > RESERVE
            }
            None => !is_early && left > 0,
        }
    }

    /// Records that the slot dropped the token because this route rejected it.
    pub(super) fn dropped(&mut self, now: Moment, id: RouteId) {
        self.budget.spend(now);
        let record = self.record.get_or_insert_with(|| {
            Box::new(Record {
                routes: Vec::new(),
                last_drop: now,
            })
        });
        record.last_drop = now;
        let known = record.routes.iter().position(|route| route.id == id);
        let drops = known.map_or(0, |index| record.routes.remove(index).drops);
        if record.routes.len() >= MAX_ROUTES {
            record.routes.remove(0);
        }
        record.routes.push(Route {
            id,
            drops: drops.saturating_add(1),
            replaced: None,
            accepted: None,
            has_rejected: false,
            owes_unit: true,
        });
    }

    /// Records that the slot adopted a token.
    pub(super) fn adopted(&mut self, now: Moment) {
        let Some(record) = &mut self.record else {
            return;
        };
        record.routes.retain(|route| !route.is_healed(now));
        for route in &mut record.routes {
            route.replaced.get_or_insert(now);
            route.accepted = None;
            route.has_rejected = false;
        }
    }

    /// Records that a route accepted the held token. Returns whether to report further acceptances:
    /// they matter until the route is forgiven.
    pub(super) fn accepted(&mut self, now: Moment, id: RouteId) -> bool {
        let Some(record) = &mut self.record else {
            return false;
        };
        if let Some(route) = record.routes.iter_mut().find(|route| route.id == id) {
            route.accepted.get_or_insert(now);
            if std::mem::take(&mut route.owes_unit) {
                self.budget.give_back();
            }
        }
        record.routes.retain(|route| !route.is_healed(now));
        record.routes.iter().any(|route| route.id == id)
    }

    /// Gives back the units that drops cost, because the drops were right: the server refuses to
    /// replace the token.
    pub(super) fn were_right(&mut self) {
        let Some(record) = &mut self.record else {
            return;
        };
        for route in &mut record.routes {
            if std::mem::take(&mut route.owes_unit) {
                self.budget.give_back();
            }
        }
    }

    pub(super) const fn swap_budget(&mut self, other: &mut RouteBudget) {
        std::mem::swap(&mut self.budget, other);
    }

    /// Records that the held token has become stale, and forgives routes that have not rejected it.
    pub(super) fn reached_staleness(&mut self) {
        if let Some(record) = &mut self.record {
            record
                .routes
                .retain(|route| route.has_rejected || route.replaced.is_none());
        }
    }
}
