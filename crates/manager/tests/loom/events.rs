//! The event queue in every order that the memory model allows: no event stays in the queue, and a
//! thread that wakes because a token was dropped sees the changed version.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use manager::{Event, EventQueue, EventSink, Level};

use crate::world::{Bell, model};

fn queue() -> (Arc<EventQueue>, Arc<dyn EventSink>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let rings = Arc::clone(&bell);
    let queue = EventQueue::new(move || rings.ring());
    let sink = queue.next_sink();
    (queue, sink, bell)
}

fn line(text: &str) -> Event {
    Event::Log(Level::Info, text.to_owned())
}

#[test]
fn every_event_is_drained_after_a_wake_up_and_once() {
    model(|| {
        let (queue, sink, bell) = queue();
        let threads = ["a", "b"].map(|text| {
            let sink = Arc::clone(&sink);
            thread::spawn(move || sink.push(line(text)))
        });
        let mut lines = Vec::new();
        while lines.len() < 2 {
            bell.wait();
            for (_, event) in queue.drain() {
                if let Event::Log(_, text) = event {
                    lines.push(text);
                }
            }
        }
        lines.sort_unstable();
        assert_eq!(lines, ["a", "b"]);
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert!(queue.drain().is_empty());
    });
}

#[test]
fn a_wake_up_without_an_event_is_not_lost_among_others() {
    model(|| {
        let (queue, sink, bell) = queue();
        let version = Arc::new(AtomicU32::new(1));
        let loud = {
            let sink = Arc::clone(&sink);
            thread::spawn(move || sink.push(line("a line")))
        };
        let dropping = {
            let (sink, version) = (Arc::clone(&sink), Arc::clone(&version));
            thread::spawn(move || {
                version.store(2, Ordering::Relaxed);
                sink.wake();
            })
        };
        let (mut lines, mut seen) = (0, 1);
        while lines == 0 || seen == 1 {
            bell.wait();
            lines += queue.drain().len();
            seen = version.load(Ordering::Relaxed);
        }
        loud.join().expect("a thread");
        dropping.join().expect("a thread");
    });
}

#[test]
fn an_event_of_a_former_configuration_is_marked_as_such() {
    model(|| {
        let (queue, sink, _) = queue();
        let pushing = thread::spawn(move || sink.push(line("former")));
        let present = queue.next_sink();
        present.push(line("present"));
        pushing.join().expect("a thread");
        for (is_former, event) in queue.drain() {
            let Event::Log(_, text) = event else { continue };
            assert_eq!(is_former, text == "former", "{text}");
        }
    });
}

#[test]
fn a_closed_queue_keeps_no_event_and_sends_no_wake_up() {
    model(|| {
        let (queue, sink, bell) = queue();
        let pushing = {
            let sink = Arc::clone(&sink);
            thread::spawn(move || sink.push(Event::RootsWanted))
        };
        queue.close();
        let wakes = *bell.wakes.lock().expect("a lock");
        pushing.join().expect("a thread");
        assert!(queue.drain().is_empty());
        sink.wake();
        // An event pushed before the queue closed may wake the event loop later.
        let later = *bell.wakes.lock().expect("a lock");
        assert!(later <= 1 && later >= wakes);
    });
}
