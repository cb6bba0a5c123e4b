//! The stage of stories about actors: one scheduler, and a host that ends what is begun at once,
//! unless it is told to hold it or to end it otherwise.

use crate::story::{Stage, clock, span};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::actor::{
    Answer, Ask, Effect, Ended, Ending, Hop, Input, KindConfig, Letter, OnPanic, OnStuck, Order,
    Overflow, Refusal, Scheduler, Trail, WaitId, Waits, Watch, WatchOf,
};
use tenure_core::format::TakeOver;
use tenure_core::id::{ClaimId, Epoch, OpId, Sequence, ShardId, Slot, Ticket};
use tenure_core::log::KindIndex;
use tenure_core::name::{EntityId, KindName};
use tenure_core::shard::Place;
use tenure_core::step::{CountingProbe, Limits};
use tenure_core::{Cx, Deadline, Dice, Effects, Machine, Span, Time};

/// How long a caller waits that does not say.
const PATIENCE: Span = Span::from_secs(5);

/// One scheduler with its host.
pub(crate) struct Theatre {
    scheduler: Option<Scheduler>,
    limits: Limits,
    kinds: Vec<KindName>,
    now: Time,
    lines: Vec<String>,
    probe: CountingProbe,
    /// What is under way, by key.
    under_way: BTreeMap<String, (Slot, OpId)>,
    names: BTreeMap<Slot, String>,
    /// Keys whose operations are not ended by themselves.
    held: BTreeSet<String>,
    /// How the next operations of a key end.
    next: BTreeMap<String, VecDeque<(Ending, Vec<Order>)>>,
    /// Operations that are to be ended.
    ends: VecDeque<Input>,
    asked: BTreeSet<Ticket>,
    /// What turns wait for, and the names of that.
    waits: Waits,
    waiting: BTreeMap<String, (Hop, WaitId)>,
}

impl Theatre {
    pub(crate) fn new() -> Self {
        Self {
            scheduler: None,
            limits: Limits::default(),
            waits: Waits::default(),
            waiting: BTreeMap::new(),
            kinds: Vec::new(),
            now: Time::ZERO,
            lines: Vec::new(),
            probe: CountingProbe::default(),
            under_way: BTreeMap::new(),
            names: BTreeMap::new(),
            held: BTreeSet::new(),
            next: BTreeMap::new(),
            ends: VecDeque::new(),
            asked: BTreeSet::new(),
        }
    }

    fn scheduler(&mut self) -> &mut Scheduler {
        let limits = self.limits;
        self.scheduler
            .get_or_insert_with(|| Scheduler::new(limits, 0, 1))
    }

    fn line(&mut self, text: &str) {
        let line = format!("{} {text}", clock(self.now));
        self.lines.push(line);
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::new(10_000);
        let (now, mut probe) = (self.now, std::mem::take(&mut self.probe));
        let mut cx = Cx {
            now,
            dice: Dice::new(1),
            probe: &mut probe,
        };
        self.scheduler().step(&mut cx, input, &mut out);
        self.probe = probe;
        for effect in out.drain() {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Activate {
                slot,
                op,
                kind,
                key,
                ..
            } => self.begins((slot, op), (kind, key), "activate".to_owned()),
            Effect::Run {
                slot,
                op,
                kind,
                key,
                letter,
                ..
            } => {
                let what = match letter {
                    Letter::Message { ticket, .. } => format!("run {ticket:?}"),
                    Letter::Timer { name, last } => {
                        format!("run timer {name}{}", if last { ", the last" } else { "" })
                    }
                    Letter::Notice { watch, ended } => format!("run notice {watch} {ended:?}"),
                };
                self.begins((slot, op), (kind, key), what);
            }
            Effect::Stop {
                slot,
                op,
                kind,
                key,
                why,
                ..
            } => self.begins((slot, op), (kind, key), format!("stop, {why:?}")),
            Effect::Abort { slot, op } => {
                let name = self.name_of(slot);
                self.line(&format!("> {name} abort {op:?}"));
            }
            Effect::Cancel { slot, op } => {
                let name = self.name_of(slot);
                self.line(&format!("> {name} cancel {op:?}"));
            }
            Effect::Forget { slot } => {
                let name = self.name_of(slot);
                self.line(&format!("> {name} forget"));
            }
            Effect::Reply { ticket, answer } => {
                assert!(self.asked.remove(&ticket), "{ticket:?} was answered twice");
                self.line(&format!("= {ticket:?} {}", told(&answer)));
            }
            Effect::Undelivered { ticket, .. } => self.line(&format!("! {ticket:?} undelivered")),
            Effect::Kept { place, epoch } => {
                let (shard, at) = (place.shard, epoch.sequence);
                self.line(&format!("! {shard:?} stays, as {at:?}"));
            }
            Effect::Drained { place } => self.line(&format!("! {:?} drained", place.shard)),
            Effect::Stopped => self.line("! stopped"),
            Effect::Note(note) => self.line(&format!("! {note:?}")),
            Effect::Halt(reason) => panic!("it halts: {reason}"),
        }
    }

    fn begins(
        &mut self,
        (slot, op): (Slot, OpId),
        (kind, key): (KindIndex, EntityId),
        what: String,
    ) {
        let name = format!("{}/{key}", self.kinds[usize::from(kind.0)]);
        self.line(&format!("> {name} {what} ({op:?})"));
        self.names.insert(slot, name.clone());
        let before = self.under_way.insert(name.clone(), (slot, op));
        assert_eq!(before, None, "A2: {name} does two things at once");
        if !self.held.contains(&name) {
            let next = self.next.get_mut(&name).and_then(VecDeque::pop_front);
            let (ending, orders) = next.unwrap_or((Ending::Ok, Vec::new()));
            self.end(&name, ending, orders);
        }
    }

    /// What is under way for a key ends so.
    fn end(&mut self, name: &str, ending: Ending, orders: Vec<Order>) {
        let (slot, op) = self.under_way.remove(name).expect("something under way");
        self.ends.push_back(Input::Done {
            slot,
            op,
            ending,
            orders,
            background: 0,
        });
    }

    fn name_of(&self, slot: Slot) -> String {
        let name = self.names.get(&slot).cloned();
        name.unwrap_or_else(|| "nobody".to_owned())
    }

    /// Ends and begins whatever can be.
    fn run(&mut self) {
        loop {
            if let Some(done) = self.ends.pop_front() {
                self.step(done);
            } else if self.scheduler().is_ready() {
                self.step(Input::Turn);
            } else {
                return;
            }
        }
    }

    fn advance(&mut self, by: Span) {
        let end = self.now + by;
        self.run();
        while let Some(Deadline { at, timer }) = self.scheduler().next_deadline()
            && at <= end
        {
            self.now = at.max(self.now);
            self.line(&format!("* {timer}"));
            self.step(Input::Tick);
            self.run();
        }
        self.now = end;
    }

    fn key(&self, text: &str) -> Result<(KindIndex, EntityId), String> {
        let (kind, key) = text.split_once('/').ok_or("a key such as counter/a")?;
        let index = self.kinds.iter().position(|one| one.as_str() == kind);
        let index = index.ok_or(format!("{kind:?} is no kind"))?;
        let index = u16::try_from(index).map_err(|error| error.to_string())?;
        let key = EntityId::new(key).map_err(|error| error.to_string())?;
        Ok((KindIndex(index), key))
    }

    fn hop(&self, text: &str) -> Result<Hop, String> {
        let (kind, key) = self.key(text)?;
        let kind = self.kinds[usize::from(kind.0)].clone();
        Ok(Hop { kind, key })
    }

    fn ask(&mut self, words: &[&str], answered: bool) -> Result<(), String> {
        let [ticket, whom, options @ ..] = words else {
            return Err("a ticket and a key".into());
        };
        let ticket = ticket_of(ticket)?;
        let (kind, key) = self.key(whom)?;
        let mut ask = Ask {
            ticket,
            kind,
            key,
            place: None,
            deadline: self.now + PATIENCE,
            trail: Trail::default(),
            crosses: false,
            answered,
        };
        for option in options {
            match option.split_once('=') {
                Some(("for", text)) => ask.deadline = self.now + span(text)?,
                Some(("in", shard)) => ask.place = Some(place(shard)?),
                Some(("via", hops)) => {
                    let hops = hops.split(',').map(|hop| self.hop(hop));
                    ask.trail = hops.collect::<Result<_, String>>()?;
                }
                _ => return Err(format!("{option:?} is no option: for=, in=, via=")),
            }
        }
        let whom = self.hop(whom)?;
        let turns_max = self.limits.trail_max;
        ask.crosses = answered && self.waits.closes(&whom, &ask.trail, turns_max);
        self.asked.insert(ticket);
        self.step(Input::Ask(ask));
        Ok(())
    }

    fn watch(&mut self, words: &[&str], of: WatchOf) -> Result<(), String> {
        let [ticket, whom, rest @ ..] = words else {
            return Err("a ticket and a key".into());
        };
        let ticket = ticket_of(ticket)?;
        let (kind, key) = self.key(whom)?;
        let patience = rest
            .first()
            .map_or(Ok(Span::from_secs(3_600)), |text| span(text))?;
        self.asked.insert(ticket);
        self.step(Input::Watch(Watch {
            ticket,
            kind,
            key,
            place: None,
            deadline: self.now + patience,
            of,
        }));
        Ok(())
    }

    fn kind(&mut self, name: &str, settings: &[&str]) -> Result<(), String> {
        let name = KindName::new(name).map_err(|error| error.to_string())?;
        let mut config = KindConfig::new(name.clone());
        for setting in settings {
            let (what, value) = setting.split_once('=').ok_or("a setting, name=value")?;
            match (what, value) {
                ("mailbox", max) => config.mailbox_max = number(max)?,
                ("overflow", "wait") => config.overflow = Overflow::Wait,
                ("idle", "never") => config.idle_after = None,
                ("idle", time) => config.idle_after = Some(span(time)?),
                ("panic", "resume") => config.on_panic = OnPanic::Resume,
                ("panic", "stop") => config.on_panic = OnPanic::Stop,
                ("restarts", max) => config.restarts_max = number(max)?,
                ("patience", time) => config.patience = span(time)?,
                ("stuck", "abort") => config.on_stuck = OnStuck::Abort,
                _ => return Err(format!("{setting:?} is no setting")),
            }
        }
        self.kinds.push(name);
        self.step(Input::Kind(config));
        Ok(())
    }
}

impl Stage for Theatre {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["wait", name, who, whom] => {
                let (who, whom) = (self.hop(who)?, self.hop(whom)?);
                let wait = self.waits.begin(who.clone(), whom);
                self.waiting.insert((*name).to_owned(), (who, wait));
            }
            ["over", name] => {
                let (who, wait) = self.waiting.remove(*name).ok_or("a wait that began")?;
                self.waits.end(&who, wait);
            }
            ["limit", "activations_max", max] => self.limits.activations_max = number(max)?,
            ["limit", "letters_max", max] => self.limits.letters_max = number(max)?,
            ["limit", "turns_max", max] => self.limits.actor_turns_max = number(max)?,
            ["limit", "trail_max", max] => self.limits.trail_max = number(max)?,
            ["kind", name, settings @ ..] => self.kind(name, settings)?,
            ["ask", rest @ ..] => self.ask(rest, true)?,
            ["tell", rest @ ..] => self.ask(rest, false)?,
            ["watch", rest @ ..] => self.watch(rest, WatchOf::Whoever)?,
            ["who", rest @ ..] => self.watch(rest, WatchOf::Who)?,
            ["watch-life", life, rest @ ..] => {
                self.watch(rest, WatchOf::Life(number(life)?))?;
            }
            ["withdraw", ticket] => {
                let ticket = ticket_of(ticket)?;
                self.step(Input::Withdraw(ticket));
                self.asked.remove(&ticket);
            }
            ["run"] => self.run(),
            ["turn"] => self.step(Input::Turn),
            ["advance", by] => self.advance(span(by)?),
            ["late", by] => self.now = self.now + span(by)?,
            ["hold", whom] => {
                self.held.insert((*whom).to_owned());
            }
            ["next", whom, how @ ..] => {
                let next = ending(self.now, how)?;
                self.next
                    .entry((*whom).to_owned())
                    .or_default()
                    .push_back(next);
            }
            ["end", whom, how @ ..] => {
                self.held.remove(*whom);
                if !self.under_way.contains_key(*whom) {
                    return Err("nothing of it is under way".into());
                }
                let (ending, orders) = ending(self.now, how)?;
                self.end(whom, ending, orders);
                self.run();
            }
            ["notice", whom, watch] => {
                let names = self.names.iter().rev();
                let slot = names
                    .filter(|(_, name)| name == whom)
                    .map(|(slot, _)| *slot);
                let slot = slot.max().ok_or("an activation that was there")?;
                let (watch, ended) = (number(watch)?, Ended::Stopped);
                self.step(Input::Notice { slot, watch, ended });
                self.run();
            }
            ["own", shard] => {
                let place = place(shard)?;
                let (sequence, claim) = (Sequence(1), ClaimId(1));
                let epoch = Epoch { sequence, claim };
                self.step(Input::Own { place, epoch });
            }
            ["lost", shard] => {
                let place = place(shard)?;
                self.step(Input::Lost { place });
            }
            ["hand", "over", shard] => {
                let place = place(shard)?;
                self.step(Input::HandOver { place });
            }
            ["lease", "none"] => self.step(Input::Lease(None)),
            ["lease", time] => {
                let until = self.now + span(time)?;
                self.step(Input::Lease(Some(until)));
            }
            ["pause", whom] => {
                let (kind, key) = self.key(whom)?;
                self.step(Input::Pause { kind, key });
            }
            ["step", whom] => {
                let (kind, key) = self.key(whom)?;
                self.step(Input::Step { kind, key });
            }
            ["resume", whom] => {
                let (kind, key) = self.key(whom)?;
                self.step(Input::Resume { kind, key });
            }
            ["stop"] => self.step(Input::Stop),
            ["census"] => {
                let census = self.scheduler().census();
                self.line(&format!("{census:?}"));
            }
            _ => return Err("no such command".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {
        assert!(self.probe.broken().is_none(), "{:?}", self.probe.broken());
        assert_eq!(self.asked, BTreeSet::new(), "A4: they have no answer");
    }
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Ran => "ran".to_owned(),
        Answer::Taken => "taken".to_owned(),
        Answer::Ended(ended) => format!("ended: {ended:?}"),
        Answer::Lives(life) => format!("life {life} is there"),
        Answer::Refused(Refusal::Failed { cause, retry_after }) => {
            format!("refused: it failed ({cause}), again in {retry_after}")
        }
        Answer::Refused(refusal) => format!("refused: {refusal:?}"),
    }
}

fn ending(now: Time, words: &[&str]) -> Result<(Ending, Vec<Order>), String> {
    let mut orders = Vec::new();
    let ending = match words {
        [] => Ending::Ok,
        ["panics"] => Ending::Panicked("boom".into()),
        ["fails"] => Ending::Failed("no such page".into()),
        ["dropped"] => Ending::Dropped,
        ["leaves"] => {
            orders.push(Order::Passivate);
            Ending::Ok
        }
        ["timer", name, after, every @ ..] => {
            orders.push(Order::Timer {
                name: (*name).into(),
                at: now + span(after)?,
                every: every.first().map(|every| span(every)).transpose()?,
            });
            Ending::Ok
        }
        ["cancels", name] => {
            orders.push(Order::Cancel {
                name: (*name).into(),
            });
            Ending::Ok
        }
        _ => {
            return Err(
                "panics, fails, dropped, leaves, timer NAME AFTER [EVERY], cancels NAME".into(),
            );
        }
    };
    Ok((ending, orders))
}

fn ticket_of(text: &str) -> Result<Ticket, String> {
    let ticket = text.strip_prefix('t').and_then(|n| n.parse().ok());
    ticket
        .map(Ticket)
        .ok_or(format!("{text:?} is no ticket such as t1"))
}

fn place(shard: &str) -> Result<Place, String> {
    let shard = ShardId(number(shard)?);
    let class = TakeOver::Leased;
    Ok(Place { class, shard })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
