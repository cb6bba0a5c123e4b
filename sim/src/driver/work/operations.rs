//! What callers asked of registers and were told, and whether one order explains it (P4, P5): each
//! operation takes effect once, at one moment between its call and its end.

use super::super::sim::{Sim, Turn};
use super::register::{Held, Holds, Kept, Look, Plain, Register, Swap, Write};
use crate::driver::log::Log;
use crate::linear::{self, Ended, Operation, RegisterInput, RegisterOutput, Verdict, Witness};
use crate::voids::{Rests, Voids};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::api::{
    Aggregate as _, Answer, AskError, Decide, Delete, Entity, ExecuteError, LoadError, Message,
    Never, ReadError, Tenure,
};
use tenure_core::id::CommandId;
use tenure_core::log::Freshness;
use tenure_core::step::Time;

/// How often a command is asked again under its id.
const TRIES_MAX: u32 = 5;

/// How long one question waits.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How many configurations of a register are looked at.
const BUDGET: u64 = 100_000;

/// The kinds of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fenced,
    Leased,
    Direct,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Fenced, Self::Leased, Self::Direct];

    fn name(self) -> &'static str {
        match self {
            Self::Fenced => Register::KIND,
            Self::Leased => Kept::KIND,
            Self::Direct => Plain::KIND,
        }
    }

    pub(super) fn key(self, number: u64) -> String {
        format!("{}-{number}", self.name())
    }
}

/// What a caller wants of a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Read(Freshness),
    /// The same by a command without events.
    Look,
    Write(u64),
    Swap(u64, u64),
    /// Deletes it: it holds then what it held at first.
    Delete,
}

/// What came of one sending.
enum Sent<R> {
    Told(R),
    /// It did nothing now.
    Nothing,
    Unknown,
    /// Nobody will ever know.
    Over,
    /// The log of the entity is damaged, and nobody goes on from it (S12).
    Damaged,
}

impl<R> Sent<R> {
    fn map<T>(self, into: impl FnOnce(R) -> T) -> Sent<T> {
        match self {
            Self::Told(reply) => Sent::Told(into(reply)),
            Self::Nothing => Sent::Nothing,
            Self::Unknown => Sent::Unknown,
            Self::Over => Sent::Over,
            Self::Damaged => Sent::Damaged,
        }
    }
}

/// What was asked of registers, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations(Arc<Mutex<Page>>);

#[derive(Debug, Default)]
struct Page {
    asked: Vec<Operation<RegisterInput, RegisterOutput>>,
    /// What was read where no more is promised than a state that was committed once: the register,
    /// what it held, and when it was told.
    once: Vec<(String, u64, u64)>,
    /// What each register held when somebody was told last.
    held: BTreeMap<String, u64>,
}

/// What came of a judgement.
#[derive(Debug)]
pub(super) enum Judged {
    Fine,
    /// No order explains what was told of a register.
    Disorder(Box<Witness>),
    /// Something else is wrong.
    Wrong(String),
    /// Some register has too many orders for the budget; those of all others are fine.
    GivenUp,
}

impl Operations {
    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self) -> usize {
        let page = self.page();
        page.asked.len() + page.once.len()
    }

    /// A caller of registers of a kind until a time: up to three operations at once, half of them on one
    /// hot register.
    pub(super) async fn caller(self, (sim, client): (Sim, u64), until: Time, kind: Kind) {
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = Arc::new(sim.turn(client, number));
            sim.sleep(Duration::from_millis(40 + turn.random(320)))
                .await;
            let wishes: Vec<_> = (0..=turn.random(3).min(2))
                .map(|part| {
                    let hot = turn.random(2) == 0;
                    let which = turn.random(super::round::ENTITIES);
                    let key = kind.key(if hot { 0 } else { which });
                    // No two write the same, but for what is there at first.
                    let value = client << 32 | number << 4 | (part + 1);
                    let held = self.page().held.get(&key).copied().unwrap_or(0);
                    let wishes = if sim.deletes() { 9 } else { 8 };
                    let wish = match turn.random(wishes) {
                        0 | 1 => Wish::Read(Freshness::Linearizable),
                        2 => Wish::Read(kind.freshest()),
                        3 => Wish::Look,
                        4 | 5 => Wish::Write(value),
                        8 => Wish::Delete,
                        _ => Wish::Swap(held, value),
                    };
                    (key, wish)
                })
                .collect();
            if !turn.is_asked() {
                continue;
            }
            let carried_out = wishes.into_iter().map(|(key, wish)| {
                let (all, turn) = (self.clone(), Arc::clone(&turn));
                sim.spawn(async move { all.carry_out(&turn, kind, key, wish).await })
            });
            for it in carried_out.collect::<Vec<_>>() {
                it.await;
            }
        }
    }

    /// Carries one operation out, under one id; whether it came to an answer. That the log is damaged is
    /// one where a stream lost what it had acknowledged.
    pub(super) async fn carry_out(&self, turn: &Turn, kind: Kind, key: String, wish: Wish) -> bool {
        let now = || turn.sim.now().as_nanos();
        let called_at = now();
        let id = turn.tenure().await.command_id();
        let (mut output, mut unknown, mut damaged) = (None, false, false);
        for attempt in 0..TRIES_MAX {
            let tenure = turn.tenure().await;
            match sent(&tenure, kind, &key, wish, id).await {
                Sent::Told(told) => {
                    output = Some(told);
                    break;
                }
                Sent::Nothing => {}
                Sent::Unknown => unknown = true,
                Sent::Over => {
                    unknown = true;
                    break;
                }
                Sent::Damaged => {
                    damaged = turn.sim.may_be_damaged();
                    break;
                }
            }
            let wait = Duration::from_millis(40 << attempt);
            turn.sim.sleep(wait).await;
        }
        let is_told = output.is_some() || damaged;
        let (input, looks) = match wish {
            Wish::Read(_) | Wish::Look => (RegisterInput::Read, true),
            Wish::Write(value) => (RegisterInput::Write(value), false),
            Wish::Swap(from, to) => (RegisterInput::Swap(from, to), false),
            Wish::Delete => (RegisterInput::Write(0), false),
        };
        let mut page = self.page();
        if let Some(held) = holds(input, output) {
            page.held.insert(key.clone(), held);
        }
        let ended = match output {
            // A replica that lags answers what is no commit (S11).
            Some(RegisterOutput::Value(held)) if kind == Kind::Direct && turn.sim.replicated() => {
                page.once.push((key, held, now()));
                return is_told;
            }
            Some(output) => Ended::Told { at: now(), output },
            None if unknown && !looks => Ended::Unknown,
            None => return is_told,
        };
        page.asked.push(Operation {
            key,
            client: turn.client(),
            input,
            called_at,
            ended,
        });
        is_told
    }

    /// Whether one order of the operations on each register explains what callers were told, for as far
    /// as no fault voids it.
    pub(super) fn judge(&self, log: &Log, voids: &Voids) -> Judged {
        let page = self.page();
        for (key, held, at) in &page.once {
            let wrote = |it: &Operation<RegisterInput, RegisterOutput>| {
                let value = match it.input {
                    RegisterInput::Read => return false,
                    RegisterInput::Write(value) | RegisterInput::Swap(_, value) => value,
                };
                it.key == *key && value == *held && it.called_at <= *at
            };
            if *held != 0 && !page.asked.iter().any(wrote) {
                return Judged::Wrong(format!(
                    "{key} was read to hold {held}, which nobody had written by then (P5)"
                ));
            }
        }
        let promised = |it: &Operation<RegisterInput, RegisterOutput>| {
            let kind = Kind::of(&it.key)?;
            let shard = log.shard_of(kind.name(), &it.key);
            match voids.of((kind.name(), &it.key), shard, kind.rests()) {
                None => Some(it.clone()),
                Some(from) => until(it, from),
            }
        };
        let history: Vec<_> = page.asked.iter().filter_map(promised).collect();
        match linear::check(&linear::Register, &history, BUDGET) {
            Verdict::Ok => Judged::Fine,
            Verdict::Illegal(witness) => Judged::Disorder(witness),
            Verdict::OutOfBudget { .. } => Judged::GivenUp,
        }
    }
}

/// An operation as it was known at a time, in true nanoseconds; `None` when it had no effect by then.
fn until(
    it: &Operation<RegisterInput, RegisterOutput>,
    from: u64,
) -> Option<Operation<RegisterInput, RegisterOutput>> {
    if it.called_at >= from {
        return None;
    }
    match &it.ended {
        Ended::Told { at, .. } if *at < from => Some(it.clone()),
        Ended::Told { .. } | Ended::Unknown => match it.input {
            RegisterInput::Read => None,
            RegisterInput::Write(_) | RegisterInput::Swap(..) => Some(Operation {
                ended: Ended::Unknown,
                ..it.clone()
            }),
        },
    }
}

impl Kind {
    /// The kind of a register.
    fn of(key: &str) -> Option<Self> {
        let (name, _) = key.rsplit_once('-')?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn rests(self) -> Rests {
        match self {
            Self::Fenced => Rests::Fence,
            Self::Leased => Rests::Lease,
            Self::Direct => Rests::Subject,
        }
    }

    /// How its registers are read where the least is to be waited for and the latest is promised.
    fn freshest(self) -> Freshness {
        match self {
            Self::Leased => Freshness::Leased,
            Self::Fenced | Self::Direct => Freshness::Linearizable,
        }
    }
}

/// What a register holds after an answer.
fn holds(input: RegisterInput, output: Option<RegisterOutput>) -> Option<u64> {
    match (input, output?) {
        (_, RegisterOutput::Value(held)) => Some(held),
        (RegisterInput::Write(value), RegisterOutput::Done)
        | (RegisterInput::Swap(_, value), RegisterOutput::Swapped(true)) => Some(value),
        (RegisterInput::Read | RegisterInput::Swap(..), RegisterOutput::Done)
        | (_, RegisterOutput::Swapped(_)) => None,
    }
}

/// Sends a wish once.
async fn sent(
    tenure: &Tenure,
    kind: Kind,
    key: &str,
    wish: Wish,
    id: CommandId,
) -> Sent<RegisterOutput> {
    match kind {
        Kind::Fenced => to_owner::<Register>(tenure, key, wish, id).await,
        Kind::Leased => to_owner::<Kept>(tenure, key, wish, id).await,
        Kind::Direct => directly(tenure, key, wish, id).await,
    }
}

/// By the owner of its shard, wherever that is.
async fn to_owner<A: Entity + Holds + Answer<Held, Reply = u64>>(
    tenure: &Tenure,
    key: &str,
    wish: Wish,
    id: CommandId,
) -> Sent<RegisterOutput> {
    match wish {
        Wish::Read(freshness) => {
            let read = tenure.entity::<A>(key).read(Held).freshness(freshness);
            match read.timeout(PATIENCE).served().await {
                Ok(served) => Sent::Told(RegisterOutput::Value(served.answer.reply)),
                Err(ReadError::Load(LoadError::Damaged(_))) => Sent::Damaged,
                Err(_) => Sent::Nothing,
            }
        }
        Wish::Look => {
            let sent = ask::<A, _>(tenure, key, Look, id).await;
            sent.map(RegisterOutput::Value)
        }
        Wish::Write(value) => {
            let sent = ask::<A, _>(tenure, key, Write { value }, id).await;
            sent.map(|()| RegisterOutput::Done)
        }
        Wish::Swap(from, to) => {
            let sent = ask::<A, _>(tenure, key, Swap { from, to }, id).await;
            sent.map(RegisterOutput::Swapped)
        }
        Wish::Delete => {
            let sent = ask::<A, _>(tenure, key, Delete, id).await;
            sent.map(|()| RegisterOutput::Done)
        }
    }
}

async fn ask<A: Entity + Decide<C, Error = Never>, C: Message>(
    tenure: &Tenure,
    key: &str,
    command: C,
    id: CommandId,
) -> Sent<<A as Decide<C>>::Reply> {
    let ask = tenure.entity::<A>(key).ask(command).id(id);
    match ask.timeout(PATIENCE).await {
        Ok(reply) => Sent::Told(reply),
        Err(error) if error.is_unknown() || error.took_effect() => Sent::Unknown,
        Err(AskError::Execute(ExecuteError::Expired { .. })) => Sent::Over,
        Err(AskError::Execute(ExecuteError::Damaged(_))) => Sent::Damaged,
        Err(_) => Sent::Nothing,
    }
}

/// By the node that was asked, whichever it is.
async fn directly(tenure: &Tenure, key: &str, wish: Wish, id: CommandId) -> Sent<RegisterOutput> {
    match wish {
        Wish::Read(_) => {
            let Ok(plains) = tenure.repository::<Plain>().await else {
                return Sent::Nothing;
            };
            match plains.load_or_create(key).await {
                Ok(loaded) => Sent::Told(RegisterOutput::Value(loaded.state.held())),
                Err(LoadError::Damaged(_)) => Sent::Damaged,
                Err(_) => Sent::Nothing,
            }
        }
        Wish::Look => {
            let sent = execute(tenure, key, Look, id).await;
            sent.map(RegisterOutput::Value)
        }
        Wish::Write(value) => {
            let sent = execute(tenure, key, Write { value }, id).await;
            sent.map(|()| RegisterOutput::Done)
        }
        Wish::Swap(from, to) => {
            let sent = execute(tenure, key, Swap { from, to }, id).await;
            sent.map(RegisterOutput::Swapped)
        }
        Wish::Delete => {
            let sent = execute(tenure, key, Delete, id).await;
            sent.map(|()| RegisterOutput::Done)
        }
    }
}

async fn execute<C: Message>(
    tenure: &Tenure,
    key: &str,
    command: C,
    id: CommandId,
) -> Sent<<Plain as Decide<C>>::Reply>
where
    Plain: Decide<C, Error = Never>,
{
    let Ok(plains) = tenure.repository::<Plain>().await else {
        return Sent::Nothing;
    };
    match plains.execute(key, command).id(id).timeout(PATIENCE).await {
        Ok(reply) => Sent::Told(reply),
        Err(error) if error.is_unknown() || error.took_effect() => Sent::Unknown,
        Err(ExecuteError::Expired { .. }) => Sent::Over,
        Err(ExecuteError::Damaged(_)) => Sent::Damaged,
        Err(_) => Sent::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::{Judged, Operations};
    use crate::driver::log::Log;
    use crate::linear::{Ended, Operation, RegisterInput, RegisterOutput};
    use crate::voids::Voids;

    fn told(key: &str, at: u64, input: RegisterInput, output: RegisterOutput) -> Operations {
        let operations = Operations::default();
        let write = Operation {
            key: key.to_owned(),
            client: 1,
            input: RegisterInput::Write(7),
            called_at: 10,
            ended: Ended::Told {
                at: 20,
                output: RegisterOutput::Done,
            },
        };
        let then = Operation {
            input,
            called_at: at,
            ended: Ended::Told { at: at + 5, output },
            ..write.clone()
        };
        operations.page().asked.extend([write, then]);
        operations
    }

    #[test]
    fn a_register_that_forgets_is_seen_where_it_is_promised_that_it_does_not() {
        let old = RegisterOutput::Value(0);
        let operations = told("kept-1", 30, RegisterInput::Read, old);
        let (log, nothing) = (Log::default(), Voids::default());
        let judged = operations.judge(&log, &nothing);
        assert!(matches!(judged, Judged::Disorder(witness) if witness.key == "kept-1"));
        // It was told at 35.
        for (since, judged) in [(31, false), (35, false), (36, true)] {
            let voids = Voids::default().with_leased(Some(since));
            let seen = matches!(operations.judge(&log, &voids), Judged::Disorder(_));
            assert_eq!(seen, judged, "{since}");
        }
        // The fenced class needs no lease.
        let operations = told("register-1", 30, RegisterInput::Read, old);
        let leased = Voids::default().with_leased(Some(1));
        assert!(matches!(
            operations.judge(&log, &leased),
            Judged::Disorder(_)
        ));
        // Under way at once.
        let operations = told("register-1", 15, RegisterInput::Read, old);
        assert!(matches!(
            operations.judge(&Log::default(), &Voids::default()),
            Judged::Fine
        ));
    }

    #[test]
    fn what_nobody_wrote_is_seen_even_where_no_order_is_promised() {
        let new = RegisterOutput::Value(7);
        let operations = told("plain-1", 30, RegisterInput::Read, new);
        operations.page().once.push(("plain-1".to_owned(), 7, 15));
        assert!(matches!(
            operations.judge(&Log::default(), &Voids::default()),
            Judged::Fine
        ));
        operations.page().once.push(("plain-1".to_owned(), 8, 90));
        assert!(matches!(
            operations.judge(&Log::default(), &Voids::default()),
            Judged::Wrong(_)
        ));
    }
}
