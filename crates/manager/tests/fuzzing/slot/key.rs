//! The state that determines the future of a pair, as one number.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};

use manager::error::ErrorKind;

use super::facts::{Ns, Time};
use super::log::Log;
use super::pair::Comparison;

impl Log {
    /// Everything that later answers are read from, with times relative to `now` and flights
    /// counted from the last one: two logs with the same essence answer alike forever.
    pub(crate) fn essence(&self, now: Time, out: &mut Vec<Ns>) {
        let relative = |at: Time| [now.mono - at.mono, now.wall - at.wall];
        let current = self.current();
        out.extend([i64::from(self.is_closed()), i64::from(self.is_in_background())]);
        for (flight, at) in self.in_the_air() {
            out.extend(relative(at));
            out.extend([
                i64::from(self.launches() - flight),
                i64::from(self.is_background(flight)),
                i64::from(self.is_awaited(flight)),
                i64::from(current == Some(flight)),
            ]);
        }
        out.push(
            current
                .and_then(|flight| self.minimum(flight))
                .unwrap_or(-1),
        );
        let tokens = self.tokens(now);
        if let Some(held) = tokens.held {
            let (token, plan) = (held.token, self.plan(&held));
            out.extend(relative(token.sent));
            out.extend([
                token.lifetime,
                token.buffer,
                plan.early,
                plan.due,
                self.pause(&held).1,
                i64::from(plan.is_pressing),
                i64::from(self.has_warned(&held)),
                i64::from(self.is_of_another_configuration(&held)),
            ]);
        }
        if let Some(successor) = tokens.successor {
            out.extend(relative(successor.token.sent));
            out.extend(relative(successor.arrival));
            out.extend([
                successor.token.lifetime,
                successor.token.buffer,
                successor.longest,
                self.jitter_of(&successor),
            ]);
        }
        out.push(-2);
        if let Some(row) = self.row() {
            out.extend(relative(row.at));
            out.extend([i64::from(row.count), row.cool_down(), row.retry_after(row.at)]);
            out.extend(ErrorKind::ALL.map(|kind| i64::from(kind == row.failure.kind)));
        }
        out.push(-3);
        out.extend(self.last_background().map(relative).into_iter().flatten());
    }
}

impl Comparison {
    /// Everything that decides what happens from here on, on both sides: what `Debug` shows of the
    /// slot, which is every field of it, and the essence of the log. Times count from now and
    /// flights and tokens from the last one, since both sides only ever subtract and compare them.
    pub(crate) fn key(&self) -> u64 {
        let mut numbers = vec![i64::from(self.last.is_some())];
        self.model.log.essence(self.now, &mut numbers);
        let mut slot = Relative {
            pair: self,
            text: String::with_capacity(1024),
            numbers,
            expects: None,
            number: Number::default(),
        };
        let _ = write!(slot, "{:?}", self.slot);
        let mut hasher = DefaultHasher::new();
        hasher.write(slot.text.as_bytes());
        for number in slot.numbers {
            hasher.write_i64(number);
        }
        hasher.finish()
    }
}

/// Takes what `Debug` writes piece by piece and makes some numbers relative. A piece that it does
/// not know stays as it is, which costs states and hides none.
struct Relative<'a> {
    pair: &'a Comparison,
    text: String,
    numbers: Vec<i64>,
    expects: Option<Unit>,
    number: Number,
}

#[derive(Clone, Copy)]
enum Unit {
    Mono,
    Wall,
    Flight,
    Token,
}

impl Write for Relative<'_> {
    // Patterns of bytes, since comparing strings without optimisation takes most of the time.
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        let Some(unit) = self.expects else {
            self.expects = match piece.as_bytes() {
                b"monotonic" => Some(Unit::Mono),
                b"wall" => Some(Unit::Wall),
                b"FlightId" | b"last_flight" => Some(Unit::Flight),
                b"TokenId" => Some(Unit::Token),
                _ => None,
            };
            self.text.push_str(piece);
            return Ok(());
        };
        match piece.as_bytes() {
            b": " | b"(" => {}
            b", " | b")" | b" }" => {
                let number = std::mem::take(&mut self.number).value();
                let last = match unit {
                    Unit::Mono => self.pair.now.mono,
                    Unit::Wall => self.pair.now.wall,
                    Unit::Flight => i64::from(self.pair.model.log.launches()),
                    Unit::Token => self
                        .pair
                        .last
                        .map_or(0, |(_, id)| i64::try_from(id.0).unwrap()),
                };
                self.numbers.push(last - number);
                self.expects = None;
                self.text.push_str(piece);
            }
            digits => self.number.read(digits),
        }
        Ok(())
    }
}

/// A number, or a duration in nanoseconds, as `Debug` writes it.
#[derive(Default)]
struct Number {
    digits: i64,
    /// Digits after the point.
    decimals: Option<u32>,
    /// Nanoseconds in the unit, as a power of ten.
    unit: u32,
}

impl Number {
    fn read(&mut self, text: &[u8]) {
        match text {
            b"ns" => {}
            [0xc2, 0xb5, b's'] => self.unit = 3,
            b"ms" => self.unit = 6,
            b"s" => self.unit = 9,
            digits => {
                for byte in digits {
                    if *byte == b'.' {
                        self.decimals = Some(0);
                        continue;
                    }
                    self.digits = self.digits * 10 + i64::from(byte - b'0');
                    self.decimals = self.decimals.map(|count| count + 1);
                }
            }
        }
    }

    fn value(self) -> i64 {
        self.digits * 10_i64.pow(self.unit - self.decimals.unwrap_or(0))
    }
}
