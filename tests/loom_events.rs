//! The mailbox in every order that the memory model allows: no letter stays behind, and whoever is
//! told that a token is gone sees that the word has changed.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --no-default-features --test loom_mailbox`

#![cfg(loom)]
#![expect(clippy::arithmetic_side_effects, clippy::expect_used, reason = "tests")]

use std::sync::Arc;

use keycloak_token_manager::manager::credential::CallId;
use keycloak_token_manager::manager::mailbox::{Letter, Mailbox};
use keycloak_token_manager::manager::{Level, Owner};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

/// A thread is interrupted so many times where it could have gone on. `LOOM_MAX_PREEMPTIONS`
/// changes it.
const PREEMPTIONS: usize = 3;

fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(test);
}

/// The event loop's queue: how many nudges it has not seen yet.
#[derive(Default)]
struct Bell {
    nudges: Mutex<u32>,
    rang: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.nudges.lock().expect("a lock") += 1;
        self.rang.notify_one();
    }

    /// Waits for a nudge, for ever if there is none: loom then says "deadlock".
    fn wait(&self) {
        let mut nudges = self.nudges.lock().expect("a lock");
        while *nudges == 0 {
            nudges = self.rang.wait(nudges).expect("a lock");
        }
        *nudges -= 1;
    }
}

fn mailbox() -> (Arc<Mailbox>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let rings = Arc::clone(&bell);
    (Arc::new(Mailbox::new(move || rings.ring())), bell)
}

#[test]
fn every_letter_is_taken_after_a_nudge_and_once() {
    model(|| {
        let (mailbox, bell) = mailbox();
        let threads = [0, 1].map(|n| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.ask_secret(CallId(n)))
        });
        let mut calls = Vec::new();
        while calls.len() < 2 {
            bell.wait();
            for letter in mailbox.take() {
                if let Letter::AskSecret(call) = letter {
                    calls.push(call.0);
                }
            }
        }
        calls.sort_unstable();
        assert_eq!(calls, [0, 1]);
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert!(mailbox.take().is_empty());
    });
}

#[test]
fn a_nudge_without_a_letter_is_not_lost_among_others() {
    model(|| {
        let (mailbox, bell) = mailbox();
        let word = Arc::new(AtomicU32::new(1));
        let loud = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.log(Level::Info, "a line".to_owned()))
        };
        let dropping = {
            let (mailbox, word) = (Arc::clone(&mailbox), Arc::clone(&word));
            thread::spawn(move || {
                word.store(2, Ordering::Relaxed);
                mailbox.token_gone();
            })
        };
        let (mut lines, mut seen) = (0, 1);
        while lines == 0 || seen == 1 {
            bell.wait();
            lines += mailbox.take().len();
            seen = word.load(Ordering::Relaxed);
        }
        loud.join().expect("a thread");
        dropping.join().expect("a thread");
    });
}

#[test]
fn a_closed_box_keeps_nothing_and_nudges_nobody() {
    model(|| {
        let (mailbox, bell) = mailbox();
        let asking = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.ask_roots())
        };
        mailbox.close();
        let nudges = *bell.nudges.lock().expect("a lock");
        asking.join().expect("a thread");
        assert!(mailbox.take().is_empty());
        mailbox.token_gone();
        // The one that was posted before the box closed may ring later.
        let later = *bell.nudges.lock().expect("a lock");
        assert!(later <= 1 && later >= nudges);
    });
}
