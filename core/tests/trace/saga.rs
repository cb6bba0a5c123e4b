//! The stage of stories about sagas: a saga that takes from purses and gives to one, decided by its own
//! code, with its messages and its reminder carried by the stage.

mod purse;

use crate::story::{Stage, clock, span};
use purse::{Give, Purse, PurseEvent, Take, Undo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tenure_core::api::saga::{
    Late, Process, RetryUndo, Saga, SagaEvent, SagaPhase, SagaReport, SkipUndo, Start, Step,
};
use tenure_core::api::{Aggregate, Decide, Event, Message, kit};
use tenure_core::format::{Later, MessageRecord};
use tenure_core::id::WallTime;
use tenure_core::{Span, Time};

/// Takes from each purse, and gives all of it to the last one.
struct Collect;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Collection {
    from: Vec<String>,
    to: String,
    cents: i64,
}

impl Process for Collect {
    const KIND: &'static str = "collection";
    type Input = Collection;

    fn steps(_: &str, input: &Collection) -> Vec<Step> {
        let each = input.cents;
        let sum = each * i64::try_from(input.from.len()).expect("a few");
        let takes = input.from.iter().map(|from| {
            Step::send::<Purse, _>(from, move |to| Take { cents: each, to })
                .undo::<Purse, _>(from, |to| Undo { to })
                .timeout(Duration::from_secs(1))
                .undo_tries_max(3)
        });
        let give = Step::send::<Purse, _>(&input.to, move |to| Give { cents: sum, to })
            .undo::<Purse, _>(&input.to, |to| Undo { to })
            .timeout(Duration::from_secs(1));
        takes.chain([give]).collect()
    }
}

/// A message on its way.
struct Mail {
    to: String,
    message: MessageRecord,
}

/// One saga, its purses, and what is between them.
pub(crate) struct Fair {
    now: Time,
    saga: Vec<SagaEvent<Collection>>,
    purses: BTreeMap<String, Vec<PurseEvent>>,
    mail: VecDeque<Mail>,
    /// Purses whose messages are held up.
    silent: BTreeSet<String>,
    /// The saga's reminder: when it is due.
    reminder: Option<(Time, MessageRecord)>,
    lines: Vec<String>,
}

const SAGA: &str = "gift";

impl Fair {
    pub(crate) fn new() -> Self {
        Self {
            now: Time::ZERO,
            saga: Vec::new(),
            purses: BTreeMap::new(),
            mail: VecDeque::new(),
            silent: BTreeSet::new(),
            reminder: None,
            lines: Vec::new(),
        }
    }

    fn say(&mut self, text: &str) {
        self.lines.push(format!("{} {text}", clock(self.now)));
    }

    fn wall(&self) -> WallTime {
        WallTime(self.now.as_nanos() / 1_000_000)
    }

    /// Has the saga decide something.
    fn decide<M: Message>(&mut self, message: M)
    where
        Saga<Collect>: Decide<M>,
        <Saga<Collect> as Decide<M>>::Error: std::fmt::Debug,
    {
        let saga = kit::given::<Saga<Collect>>(self.saga.clone());
        let decided = saga.id(SAGA).time(self.wall()).when(message);
        let events = decided.events().to_vec();
        let later = decided.later().clone();
        if events.is_empty() && later.is_empty() {
            self.say("the saga has nothing to do");
        }
        for event in &events {
            let text = match event {
                SagaEvent::Started(_) => continue,
                SagaEvent::Advanced(step) => format!("the saga is at step {step}"),
                SagaEvent::TurnedBack { step, why } => {
                    format!("the saga turns back at step {step}: {why}")
                }
                SagaEvent::Undoing(step) => format!("the saga undoes step {step}"),
                SagaEvent::UndoRefused { step, why } => {
                    format!("step {step} is not undone: {why}")
                }
                SagaEvent::Completed => "the saga is completed".to_owned(),
                SagaEvent::Compensated => "the saga is compensated".to_owned(),
                SagaEvent::UndoneAgain(step) => format!("the undo of step {step} is sent again"),
                SagaEvent::Stuck { step, why } => {
                    format!("the saga is stuck at step {step}: {why}")
                }
                SagaEvent::UndoSkipped(step) => format!("step {step} is left as it is"),
                other => format!("{other:?}"),
            };
            self.say(&text);
        }
        self.saga.extend(events);
        self.leave(later);
    }

    fn leave(&mut self, later: Later) {
        if !later.cancelled.is_empty() {
            self.reminder = None;
        }
        for timer in later.armed {
            let wait = timer.due.0 - self.wall().0;
            let due = self.now + Span::from_millis(wait);
            self.reminder = Some((due, timer.message));
        }
        for intent in later.sends {
            let to = intent.entity.as_str().to_owned();
            let message = intent.message;
            self.mail.push_back(Mail { to, message });
        }
    }

    /// Has a purse decide something.
    fn ask<M: Message>(&mut self, id: &str, message: M)
    where
        Purse: Decide<M>,
        <Purse as Decide<M>>::Error: std::fmt::Debug,
    {
        let events = self.purses.entry(id.to_owned()).or_default();
        let decided = kit::given::<Purse>(events.clone()).id(id).when(message);
        let (came, later) = (decided.events().to_vec(), decided.later().clone());
        let cents = decided.state().cents();
        let what = match came.first() {
            None => "does nothing".to_owned(),
            Some(event) => event.name().to_owned(),
        };
        events.extend(came);
        self.say(&format!("{id} {what}, and has {cents}"));
        self.leave(later);
    }

    fn deliver(&mut self, Mail { to, message }: Mail) {
        let codec = Saga::<Collect>::settings().codec;
        let purses = Purse::settings().codec;
        match &*message.name {
            "saga-report" => {
                let report: SagaReport = codec.decode(&message.data).expect("a report");
                self.decide(report);
            }
            "put-stuck" => self.say("it is listed as stuck"),
            "freed" => self.say("it is listed no more"),
            "take" => self.ask::<Take>(&to, purses.decode(&message.data).expect("a take")),
            "give" => self.ask::<Give>(&to, purses.decode(&message.data).expect("a give")),
            "undo" => self.ask::<Undo>(&to, purses.decode(&message.data).expect("an undo")),
            other => panic!("nobody takes {other}"),
        }
    }

    /// Delivers what is not held up, until nothing more comes.
    fn run(&mut self) {
        while let Some(at) = self
            .mail
            .iter()
            .position(|mail| !self.silent.contains(&mail.to))
        {
            let mail = self.mail.remove(at).expect("it is there");
            self.deliver(mail);
        }
    }

    fn advance(&mut self, end: Time) {
        while let Some((due, message)) = self.reminder.take_if(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.say("the reminder comes");
            let codec = Saga::<Collect>::settings().codec;
            self.decide::<Late>(codec.decode(&message.data).expect("a reminder"));
            self.run();
        }
        self.now = end;
    }
}

impl Stage for Fair {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["purse", id, cents] => {
                let cents = cents.parse().map_err(|_| "an amount")?;
                let filled = PurseEvent::Filled { cents };
                self.purses.insert((*id).to_owned(), vec![filled]);
            }
            ["collect", cents, "from", rest @ ..] => {
                let [from @ .., "for", to] = rest else {
                    return Err("collect 5 from ann bob for cas".into());
                };
                let collection = Collection {
                    from: from.iter().map(ToString::to_string).collect(),
                    to: (*to).to_owned(),
                    cents: cents.parse().map_err(|_| "an amount")?,
                };
                self.decide(Start(collection));
            }
            ["run"] => self.run(),
            ["deliver", "one"] => {
                let next = self.mail.pop_front().ok_or("there is none")?;
                self.deliver(next);
            }
            ["the", "undo", "is", "retried"] => self.decide(RetryUndo { times: 1 }),
            ["the", "undo", "is", "skipped"] => self.decide(SkipUndo { times: 1 }),
            ["advance", by] => self.advance(self.now + span(by)?),
            [id, "is", "silent"] => drop(self.silent.insert((*id).to_owned())),
            [id, "is", "back"] => {
                self.silent.remove(*id);
            }
            ["the", "last", "message", "comes", "first"] => {
                let last = self.mail.pop_back().ok_or("there is none")?;
                self.mail.push_front(last);
            }
            ["the", "next", "message", "comes", "twice"] => {
                let next = self.mail.front().ok_or("there is none")?;
                let (to, message) = (next.to.clone(), next.message.clone());
                self.mail.push_front(Mail { to, message });
            }
            _ => return Err("purse, collect, run, deliver one, advance, the undo is retried, the undo is skipped, is silent, is back, the next message comes twice".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Nothing is lost and nothing is made, unless it is under way.
    fn end(&mut self) {
        let saga = kit::given::<Saga<Collect>>(self.saga.clone());
        let phase = saga.state().status().phase;
        let purses = self.purses.iter();
        let all: Vec<_> = purses
            .map(|(id, events)| {
                let cents = kit::given::<Purse>(events.clone()).state().cents();
                format!("{id} {cents}")
            })
            .collect();
        self.say(&format!("{phase:?}: {}", all.join(", ")));
        let over = matches!(phase, SagaPhase::Completed | SagaPhase::Compensated);
        assert!(over && self.reminder.is_none(), "a saga comes to its end");
    }
}
