//! One consumer of a story: its machine, its handler, and what becomes of its requests.

use super::show::{ended, noticed, reply_line, request_line};
use super::{Asked, Desk, brought, namespace};
use std::collections::{BTreeMap, VecDeque};
use tenure_core::consumer::{
    Answer, Batch, Config, Consumer, Definition, Effect, Handled, Input, Pace, Start,
};
use tenure_core::format::Cause;
use tenure_core::id::{OpId, Sequence};
use tenure_core::port::{Fetched, Refused, StoreDone, StoreRequest, StreamName};
use tenure_core::space::SpaceWish;
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

/// One consumer.
pub(super) struct Seat {
    pub(super) consumer: Consumer,
    probe: CountingProbe,
    /// Requests that are not answered yet.
    asked: VecDeque<Asked>,
    /// Batches that the handler has.
    batches: BTreeMap<OpId, Batch>,
    /// The handler keeps what it gets until it is told to end it.
    pub(super) holds: bool,
    /// How often the events of an entity fail, and why.
    pub(super) fails: BTreeMap<String, (u32, Cause)>,
    dice: Dice,
    /// How each stream ended when that was told last.
    heads: BTreeMap<StreamName, Sequence>,
    pub(super) over: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It is done, and its answer is lost.
    Unknown,
    /// It is lost.
    Lost,
    /// It is a fetch, and its first message is lost.
    Torn,
    /// It is a fetch, and what it brings is held up until after its wait.
    Held,
    /// It is refused.
    Refused(Refused),
}

impl Desk {
    /// A consumer begins, and its store is there.
    pub(super) fn begin(
        &mut self,
        label: &str,
        definition: Definition,
        pace: Pace,
        reset: Option<Start>,
    ) {
        let config = Config {
            wish: SpaceWish::new(namespace()),
            layout: self.layout.clone(),
            run: self.name_run(),
            node: format!("node-{label}"),
            definition,
            pace,
            reset,
        };
        let dice = Dice::new(config.run.0);
        let consumer = match Consumer::new(config, self.limits) {
            Ok(consumer) => consumer,
            Err(fault) => return self.line(format!("{label} does not begin: {fault}")),
        };
        let before = self.seats.remove(label);
        let (mut holds, fails) =
            before.map_or_else(Default::default, |seat| (seat.holds, seat.fails));
        holds |= self.held.remove(label);
        let seat = Seat {
            consumer,
            probe: CountingProbe::default(),
            asked: VecDeque::new(),
            batches: BTreeMap::new(),
            holds,
            fails,
            dice,
            heads: BTreeMap::new(),
            over: false,
        };
        self.seats.insert(label.to_owned(), seat);
        self.step(label, Input::Up);
        self.run();
    }

    pub(super) fn seat(&mut self, label: &str) -> &mut Seat {
        self.seats.get_mut(label).expect("a consumer")
    }

    pub(super) fn step(&mut self, label: &str, input: Input) {
        let now = self.now;
        let seat = self.seats.get_mut(label).expect("a consumer");
        let mut out = Effects::new(100_000);
        let mut cx = Cx {
            now,
            dice: seat.dice,
            probe: &mut seat.probe,
        };
        seat.consumer.step(&mut cx, input, &mut out);
        if let Some(rule) = seat.consumer.broken() {
            panic!("{label}: {rule}");
        }
        for effect in out.drain() {
            self.effect(label, effect);
        }
    }

    fn effect(&mut self, label: &str, effect: Effect) {
        match effect {
            Effect::Store { op, request } => {
                let asked = Asked {
                    seat: label.to_owned(),
                    op,
                    request,
                    at: self.now,
                };
                self.seat(label).asked.push_back(asked);
            }
            Effect::Handle { op, batch } => {
                let events = batch.events.iter().map(|given| {
                    let at = self.named(given.place.partition, given.place.sequence);
                    let live = if given.live { " live" } else { "" };
                    let again = match given.attempt {
                        1 => String::new(),
                        attempt => format!(" try {attempt}"),
                    };
                    format!(
                        "{}{at}.{}{live}{again}",
                        given.subject.id, given.place.index
                    )
                });
                let events: Vec<String> = events.collect();
                let upto = match batch.upto.is_empty() {
                    true => String::new(),
                    false => format!(" up to {:?}", batch.upto),
                };
                self.line(format!("> {label} handle {}{upto}", events.join(", ")));
                self.seat(label).batches.insert(op, batch);
            }
            Effect::Answer { ticket, answer } => {
                let answer = match answer {
                    Answer::Obeyed(Ok(())) => "it is so".to_owned(),
                    Answer::Obeyed(Err(refusal)) => format!("refused: {refusal}"),
                    Answer::Rewound(Ok(positions)) => format!("rewound to {positions:?}"),
                    Answer::Rewound(Err(refusal)) => format!("not rewound: {refusal}"),
                    Answer::Letters(Ok(page)) => {
                        let letters = page.letters.iter().map(|(_, letter)| {
                            format!(
                                "{} {} {:?} {} after {}: {}",
                                letter.place,
                                letter.entity,
                                letter.version,
                                letter.event,
                                letter.tries,
                                letter.text
                            )
                        });
                        let letters: Vec<String> = letters.collect();
                        let more = if page.more.is_some() { ", more" } else { "" };
                        let unreadable = page.unreadable.iter().map(|letter| match letter.place {
                            Some(place) => format!(", {place} cannot be read"),
                            None => ", one cannot be read".to_owned(),
                        });
                        let unreadable: String = unreadable.collect();
                        format!("letters [{}]{unreadable}{more}", letters.join("; "))
                    }
                    Answer::Looked(Ok(looked)) => {
                        format!("it is {}", looked.0.events.len())
                    }
                    Answer::Removed(Ok(())) => "the letter is gone".to_owned(),
                    Answer::Letters(Err(refusal))
                    | Answer::Looked(Err(refusal))
                    | Answer::Removed(Err(refusal)) => format!("refused: {refusal}"),
                };
                self.line(format!("= {label} {ticket:?} {answer}"));
            }
            Effect::Notice(notice) => self.line(format!("! {label} {}", noticed(&notice))),
            Effect::Ended {
                positions,
                running,
                fault,
            } => {
                let seat = self.seat(label);
                seat.over = true;
                // What is asked is answered to nobody, but for what is to be done.
                seat.asked
                    .retain(|asked| matches!(asked.request, StoreRequest::CloseConsumer { .. }));
                self.line(format!(
                    "= {label} {}",
                    ended(&positions, running, fault.as_deref())
                ));
            }
            Effect::Halt(reason) => panic!("{label} halts: {reason}"),
        }
    }

    /// Answers requests and ends batches until nothing is left that can be done now.
    pub(super) fn run(&mut self) {
        loop {
            let mut quiet = true;
            let labels: Vec<String> = self.seats.keys().cloned().collect();
            for label in labels {
                let waiting = self.seat(&label).asked.len();
                for _ in 0..waiting {
                    let Some(asked) = self.seat(&label).asked.pop_front() else {
                        break;
                    };
                    quiet &= !self.answer(asked);
                }
                while !self.seat(&label).holds && self.end_batch(&label) {
                    quiet = false;
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Answers one request; a fetch that brings nothing waits. Whether it was answered.
    fn answer(&mut self, asked: Asked) -> bool {
        let label = asked.seat.clone();
        let name = asked.request.name();
        let fates = self.faults.get_mut(&(label.clone(), name.to_owned()));
        let fate = fates.and_then(VecDeque::pop_front);
        let (reply, brought_nothing) = match &fate {
            None | Some(Fate::Unknown | Fate::Torn) => {
                let mut reply = self.apply(&asked.request);
                let nothing = brought(&reply) == Some(0);
                match (&fate, &mut reply) {
                    (Some(Fate::Unknown), _) => (Outcome::Unknown, false),
                    (Some(Fate::Torn), Outcome::Done(StoreDone::Fetched(fetched))) => {
                        fetched.messages.remove(0);
                        (reply, nothing)
                    }
                    (_, _) => (reply, nothing),
                }
            }
            Some(Fate::Lost) => (Outcome::Unknown, false),
            Some(Fate::Held) => {
                let (messages, pending) = (Vec::new(), 1);
                let fetched = Fetched { messages, pending };
                (Outcome::Done(StoreDone::Fetched(fetched)), false)
            }
            Some(Fate::Refused(refused)) => (Outcome::Refused(refused.clone()), false),
        };
        if brought_nothing
            && let StoreRequest::Fetch { wait, .. } = &asked.request
            && self.now < asked.at + *wait
        {
            self.seat(&label).asked.push_back(asked);
            return false;
        }
        let seen = self.is_known(&label, &asked.request, &reply) || brought_nothing;
        if !seen {
            let told = reply_line(&reply);
            self.line(format!(
                "{label} {} -> {told}",
                request_line(&asked.request)
            ));
        }
        let (op, wall) = (asked.op, self.wall());
        self.step(&label, Input::Stored { op, reply, wall });
        true
    }

    /// Whether an answer says only what was told before.
    fn is_known(
        &mut self,
        label: &str,
        request: &StoreRequest,
        reply: &tenure_core::port::StoreReply,
    ) -> bool {
        let (StoreRequest::StreamInfo { stream }, Outcome::Done(done)) = (request, reply) else {
            return false;
        };
        let StoreDone::Stream(info) = done else {
            return false;
        };
        let before = self.seat(label).heads.insert(stream.clone(), info.last);
        before.is_some_and(|before| before == info.last)
    }

    /// The handler ends the oldest batch that it has.
    pub(super) fn end_batch(&mut self, label: &str) -> bool {
        let seat = self.seat(label);
        let Some((op, batch)) = seat.batches.pop_first() else {
            return false;
        };
        if seat.over {
            return true;
        }
        let failing = batch.events.iter().position(|given| {
            let left = seat.fails.get(given.subject.id.as_str());
            left.is_some_and(|(times, _)| *times > 0)
        });
        let handled = match failing {
            None => Handled::Done,
            Some(done) => {
                let id = batch.events[done].subject.id.as_str();
                let (times, cause) = seat.fails.get_mut(id).expect("it fails");
                *times -= 1;
                // Who keeps the checkpoint is done with a whole batch or with none of it.
                let done = if batch.upto.is_empty() { done } else { 0 };
                Handled::Failed {
                    done: u32::try_from(done).unwrap(),
                    cause: *cause,
                    text: "no".to_owned(),
                }
            }
        };
        match &handled {
            Handled::Done => {}
            Handled::Failed { done, .. } => self.line(format!("< {label} fails after {done}")),
        }
        self.step(label, Input::Handled { op, handled });
        true
    }

    /// Lets time pass, with what is due then.
    pub(super) fn advance(&mut self, to: Time) {
        self.run();
        while self.now < to {
            let due = self
                .seats
                .values()
                .filter(|seat| !seat.over)
                .flat_map(|seat| {
                    let waiting = seat.asked.iter();
                    let waiting = waiting.map(|asked| (asked.at, asked.request.patience()));
                    let fetches = waiting.filter(|(_, wait)| *wait > Span::ZERO);
                    let fetches = fetches.map(|(at, wait)| at + wait);
                    let deadline = seat.consumer.next_deadline().map(|deadline| deadline.at);
                    deadline.into_iter().chain(fetches)
                });
            let next = due.min().unwrap_or(to).min(to);
            self.now = next.max(self.now);
            let labels: Vec<String> = self.seats.keys().cloned().collect();
            for label in labels {
                let seat = self.seat(&label);
                let due = seat.consumer.next_deadline();
                if !seat.over && due.is_some_and(|due| due.at <= next) {
                    let wall = self.wall();
                    self.step(&label, Input::Tick { wall });
                    let seat = self.seat(&label);
                    let still = seat.consumer.next_deadline();
                    let stuck = still.filter(|still| !seat.over && still.at <= next);
                    assert!(stuck.is_none(), "{label}: a tick leaves {stuck:?} due");
                }
            }
            self.run();
        }
    }
}
