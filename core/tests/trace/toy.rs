//! A toy machine that shows the step contract: a courier who delivers one letter at a time over a
//! road where letters and receipts get lost.

use crate::story::{Stage, clock, span};
use tenure_core::id::OpId;
use tenure_core::{
    Cx, Deadline, Dice, Effects, Machine, Outcome, Purpose, Span, Time, reached,
    step::CountingProbe,
};

/// The first wait before a letter is carried again; each further one doubles it.
const WAIT_MIN: Span = Span::from_millis(100);
/// How often a letter is carried.
const TRIES_MAX: u32 = 3;

/// Carries a letter until its receipt comes, the house refuses it, or it was tried often enough.
#[derive(Debug)]
struct Courier {
    state: State,
    op_next: u64,
}

/// One state, one variant, with exactly its data.
#[derive(Debug)]
enum State {
    Idle,
    /// A letter is on its way.
    Carrying {
        op: OpId,
        letter: String,
        tries: u32,
    },
    /// It is carried again at a time.
    Waiting {
        until: Time,
        letter: String,
        tries: u32,
    },
}

#[derive(Debug)]
enum Input {
    Tick,
    Post(String),
    Receipt {
        op: OpId,
        outcome: Outcome<(), &'static str>,
    },
}

#[derive(Debug)]
enum Effect {
    Carry { op: OpId, letter: String },
    Report { letter: String, text: String },
}

impl Courier {
    fn carry(&mut self, letter: String, tries: u32, out: &mut Effects<Effect>) {
        let op = OpId(self.op_next);
        self.op_next += 1;
        out.push(Effect::Carry {
            op,
            letter: letter.clone(),
        });
        self.state = State::Carrying { op, letter, tries };
    }

    fn report(&mut self, letter: String, text: &str, out: &mut Effects<Effect>) {
        self.state = State::Idle;
        let text = text.to_owned();
        out.push(Effect::Report { letter, text });
    }

    fn on_receipt(
        &mut self,
        cx: &mut Cx<'_>,
        answered: OpId,
        outcome: Outcome<(), &'static str>,
        out: &mut Effects<Effect>,
    ) {
        let (letter, tries) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Carrying { op, letter, tries } if op == answered => (letter, tries),
            // A receipt that nobody waits for changes nothing.
            state @ (State::Idle | State::Carrying { .. } | State::Waiting { .. }) => {
                self.state = state;
                return;
            }
        };
        match outcome {
            Outcome::Done(()) => self.report(letter, "delivered", out),
            Outcome::Refused(why) => self.report(letter, why, out),
            Outcome::Unknown if tries >= TRIES_MAX => self.report(letter, "perhaps delivered", out),
            Outcome::Unknown => {
                reached!(cx, "courier: a receipt is missing");
                let full = WAIT_MIN.saturating_mul(1 << tries).as_nanos() / 2;
                let drawn = cx.dice.below(Purpose::RetryJitter, u64::from(tries), full);
                let until = cx.now + Span::from_nanos(full + drawn);
                self.state = State::Waiting {
                    until,
                    letter,
                    tries,
                };
            }
        }
    }
}

impl Machine for Courier {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        match input {
            Input::Post(letter) => match &self.state {
                State::Idle => self.carry(letter, 1, out),
                State::Carrying { .. } | State::Waiting { .. } => {
                    let text = "refused: one letter at a time".to_owned();
                    out.push(Effect::Report { letter, text });
                }
            },
            Input::Receipt { op, outcome } => self.on_receipt(cx, op, outcome, out),
            Input::Tick => match &self.state {
                State::Waiting {
                    until,
                    letter,
                    tries,
                } if *until <= cx.now => {
                    let (letter, tries) = (letter.clone(), tries + 1);
                    self.carry(letter, tries, out);
                }
                State::Idle | State::Carrying { .. } | State::Waiting { .. } => {}
            },
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Waiting { until, .. } => Some(Deadline {
                at: *until,
                timer: "carry again",
            }),
            State::Idle | State::Carrying { .. } => None,
        }
    }
}

/// The courier, the road and the clock.
pub(crate) struct Road {
    courier: Courier,
    now: Time,
    lines: Vec<String>,
    probe: CountingProbe,
}

impl Road {
    pub(crate) fn new() -> Self {
        let courier = Courier {
            state: State::Idle,
            op_next: 1,
        };
        Self {
            courier,
            now: Time::ZERO,
            lines: Vec::new(),
            probe: CountingProbe::default(),
        }
    }

    fn line(&mut self, text: &str) {
        self.lines.push(format!("{} {text}", clock(self.now)));
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::new(4);
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(1),
            probe: &mut self.probe,
        };
        self.courier.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Carry { op, letter } => self.line(&format!("> {op:?} carry {letter:?}")),
                Effect::Report { letter, text } => self.line(&format!("= {letter:?} {text}")),
            }
        }
    }

    fn advance(&mut self, by: Span) {
        let end = self.now + by;
        while let Some(Deadline { at, timer }) = self.courier.next_deadline()
            && at <= end
        {
            self.now = at;
            self.line(&format!("* timer: {timer}"));
            self.step(Input::Tick);
        }
        self.now = end;
    }
}

impl Stage for Road {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        let number = |op: &str| {
            let op = op.strip_prefix("op").and_then(|n| n.parse().ok());
            op.map(OpId).ok_or("an operation such as op1".to_owned())
        };
        match words {
            ["post", letter] => self.step(Input::Post((*letter).to_owned())),
            ["receipt", op, what] => {
                let (op, outcome) = (
                    number(op)?,
                    match *what {
                        "done" => Outcome::Done(()),
                        "moved-away" => Outcome::Refused("refused: moved away"),
                        "unknown" => Outcome::Unknown,
                        _ => return Err("done, moved-away or unknown".into()),
                    },
                );
                self.step(Input::Receipt { op, outcome });
            }
            ["advance", by] => self.advance(span(by)?),
            _ => return Err("post, receipt or advance".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {
        assert!(self.probe.broken().is_none(), "a probe's claim is broken");
    }
}
