//! The log lines of a manager.

use std::time::Duration;

use super::Manager;
use crate::clock::Clock;
use crate::events::Level;
use crate::slot::{FlightResult, LifetimeWarning, schedule};
use transport::Transport;

const MINIMUM_MISSED: &str = "the server grants less validity than a caller requested; the manager \
     uses the cached token. Lower minValiditySeconds, or raise the client's access token lifespan";

const MINIMUM_MISSED_BY_FAILURE: &str = "the token request for a longer validity \
     (minValiditySeconds) failed; the manager uses the cached token. See the failure";

impl<C: Clock, T: Transport> Manager<C, T> {
    pub(super) fn log_outcome(&self, outcome: &FlightResult, took: Duration) {
        match &outcome.result {
            Ok(token) => {
                if outcome.is_transition {
                    self.log(Level::Info, || "recovered: acquired a token again".to_owned());
                }
                let (took, life) = (took.as_millis(), token.life.granted().as_secs_f64());
                self.log(Level::Debug, || {
                    format!("acquired a token in {took} ms, valid for {life} s")
                });
            }
            Err(error) if outcome.is_transition => {
                let state = if outcome.fallback.is_some() {
                    "; the cached token is still valid, and the manager uses it meanwhile"
                } else {
                    ""
                };
                let code = error.kind().code();
                self.log(Level::Warn, || format!("the refresh failed: {code}: {error}{state}"));
            }
            Err(_) => {}
        }
        if outcome.warns_of_minimum {
            self.warn_of_minimum(outcome.result.is_err());
        }
        if let Some(warning) = outcome.warning {
            self.log(Level::Warn, || lifetime_message(warning));
        }
    }

    pub(super) fn log_stored(&self, outcome: &FlightResult) {
        if let Ok(token) = &outcome.result {
            let life = token.life.granted().as_secs_f64();
            self.log(Level::Debug, || {
                format!("took a token from the shared store, valid for {life} s when granted")
            });
        }
    }

    pub(super) fn warn_of_minimum(&self, has_failed: bool) {
        if !self.inner.lock().warns_of_minimum() {
            return;
        }
        let warning = if has_failed {
            MINIMUM_MISSED_BY_FAILURE
        } else {
            MINIMUM_MISSED
        };
        self.log(Level::Warn, || warning.to_owned());
    }

    fn log(&self, level: Level, message: impl FnOnce() -> String) {
        let setup = self.inner.lock().setup.clone();
        if let Some(setup) = setup {
            self.host.events.log(&setup.config, level, message);
        }
    }
}

fn lifetime_message(warning: LifetimeWarning) -> String {
    let assumed = schedule::ASSUMED_LIFETIME.as_secs();
    match warning {
        LifetimeWarning::Unknown => format!(
            "neither the token response nor the token gives a lifetime; the manager assumes \
             {assumed} s. Check that the server returns expires_in"
        ),
        LifetimeWarning::Over => format!(
            "the token had already expired when it arrived; the manager uses it for {assumed} s. \
             Check both clocks. Check the access token lifespan and the session limits of the realm \
             and the client. Also check that no cache answers token requests"
        ),
        LifetimeWarning::Aged => {
            "the Age header says that a cache held the token response for longer than the token's \
             lifetime; make sure that no cache answers token requests"
                .to_owned()
        }
        LifetimeWarning::Repeated => {
            "the server returned the same token again after its lifetime had ended; \
             the manager uses it as a new token. Check that no cache answers token requests"
                .to_owned()
        }
    }
}
