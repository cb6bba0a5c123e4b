//! A run of the driver world: callers at work while faults happen, then a part of the nodes heals for
//! good, and must converge, serve, and finish what was begun.

use super::super::sim::Sim;
use super::bus::Bus;
use super::counter::{Book, Counter, Held};
use super::operations::{Judged, Kind, Operations, Wish};
use super::outside::{Outside, Sellers};
use super::project::Projections;
use super::saga::Movers;
use super::witness::{Disorder, Witness};
use super::{alarm, consume, mortal, purse, sentry};
use crate::oracle::{Class, Violation};
use crate::voids::Voids;
use std::time::Duration;
use tenure_core::format::TakeOver;
use tenure_core::log::Freshness;
use tenure_core::step::{Span, Time};
use tenure_core::{Probe as _, reached};

/// How many of each there are.
pub(super) const ENTITIES: u64 = 4;
const SENTRIES: u64 = 4;

/// The client of the last round.
const LAST: u64 = 1_000;

/// How long one question of the last round is asked again.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Verdict {
    pub(in super::super) asked: usize,
}

/// Runs the callers and judges what came of it; with effects and sagas where there is an outside.
pub(in super::super) async fn work(
    sim: Sim,
    outside: Option<Outside>,
) -> Result<Verdict, Violation> {
    let clock = sim.clone();
    let witness = Witness::present(move || clock.now().as_nanos());
    let (book, operations) = (Book::default(), Operations::default());
    let until = Time::ZERO + sim.active();
    let mut callers = Vec::new();
    let client = |number: u64| (sim.clone(), number);
    for number in 0..2 {
        let book = book.clone();
        let fenced = book.caller::<Counter>(client(number), until, ENTITIES);
        callers.push(sim.spawn(fenced));
    }
    let leased = book.clone().caller::<Held>(client(2), until, ENTITIES);
    callers.push(sim.spawn(leased));
    callers.push(sim.spawn(purse::giver(client(3), until, ENTITIES)));
    callers.push(sim.spawn(alarm::setter(client(4), until, ENTITIES)));
    let kinds = [
        Kind::Fenced,
        Kind::Fenced,
        Kind::Leased,
        Kind::Direct,
        Kind::Direct,
    ];
    for (number, kind) in (7..).zip(kinds) {
        let all = operations.clone();
        callers.push(sim.spawn(all.caller(client(number), until, kind)));
    }
    for number in 5..7 {
        let hailer = sentry::hailer(client(number), until, SENTRIES);
        callers.push(sim.spawn(hailer));
    }
    let mortals = mortal::Book::default();
    for number in (12..14).filter(|_| sim.deletes()) {
        let mortals = mortals.clone();
        callers.push(sim.spawn(mortals.caller(client(number), until, ENTITIES)));
    }
    let movers = Movers::at_work(&sim, outside.is_some(), until);
    let sellers = Sellers::at_work(&sim, outside, until);
    let posts = consume::Posts::at_work(&sim, until);
    let crews = consume::Crews::at_work(&sim, until);
    let projections = Projections::at_work(&sim, until);
    let mut bus = Bus::at_work(&sim, until);
    sim.sleep(sim.active().into()).await;
    let core = sim.heal_some();
    let both = [TakeOver::Fenced, TakeOver::Leased];
    let served = sim.served(&core, &both, sim.convergence()).await;
    served.map_err(|what| liveness("converged", what))?;
    reached!(sim.probe(), "world: a cluster converged");
    for caller in callers {
        caller.await;
    }
    last_round(&sim, &book).await?;
    last_operations(&sim, &operations).await?;
    last_lives(&sim, &mortals).await?;
    finish(&sim, &mortals).await?;
    sellers.finish(&sim).await?;
    movers.finish(&sim).await?;
    bus.is_quiet().await;
    consume::finish(posts).await?;
    crews.finish(&core).await?;
    projections.finish(&core).await?;
    bus.finish().await?;
    judge_operations(&sim, &operations)?;
    judge(&sim, &book, &witness)?;
    reached!(sim.probe(), "world: run to its end");
    Ok(Verdict {
        asked: book.asked() + operations.asked() + mortals.asked(),
    })
}

/// Everything is served.
async fn last_round(sim: &Sim, book: &Book) -> Result<(), Violation> {
    for number in 0..ENTITIES {
        let turn = &sim.turn(LAST, number);
        let counter = format!("counter-{number}");
        until_done(sim, &counter, || {
            book.count::<Counter>(turn, &counter, 1, 1)
        })
        .await?;
        until_done(sim, &counter, || book.read::<Counter>(turn, &counter)).await?;
        let held = format!("held-{number}");
        until_done(sim, &held, || book.count::<Held>(turn, &held, 1, 1)).await?;
        until_done(sim, &held, || book.read::<Held>(turn, &held)).await?;
        let key = format!("sentry-{number}");
        until_done(sim, &key, || async {
            sentry::answers(sim, &key).await.is_ok()
        })
        .await?;
    }
    Ok(())
}

/// Every register is written, swapped and read.
async fn last_operations(sim: &Sim, operations: &Operations) -> Result<(), Violation> {
    for kind in Kind::ALL {
        for number in 0..ENTITIES {
            let turn = &sim.turn(LAST + 1 + kind as u64, number);
            let (first, second) = (LAST << 32 | 1, LAST << 32 | 2);
            for wish in [
                Wish::Write(first),
                Wish::Swap(first, second),
                Wish::Look,
                Wish::Read(Freshness::Linearizable),
                Wish::Delete,
                Wish::Look,
            ] {
                if matches!(wish, Wish::Delete) && !sim.deletes() {
                    break;
                }
                let key = kind.key(number);
                until_done(sim, &key, || {
                    operations.carry_out(turn, kind, key.clone(), wish)
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// Every mortal acts, and is deleted.
async fn last_lives(sim: &Sim, mortals: &mortal::Book) -> Result<(), Violation> {
    for number in (0..ENTITIES).filter(|_| sim.deletes()) {
        until_done(sim, &format!("mortal-{number}"), || {
            // What it does is another thing each time.
            let turn = sim.turn(LAST + 5 + mortals.asked() as u64, number);
            async move { mortals.last(&turn, number).await }
        })
        .await?;
    }
    Ok(())
}

/// What is wrong with the lives of mortals, and how much of the last ones is to come; nothing is known of
/// them where what they rest on is void.
fn lives(sim: &Sim, mortals: &mortal::Book) -> Result<usize, Violation> {
    if !sim.deletes() || sim.may_be_damaged() {
        return Ok(0);
    }
    let judged = mortal::judge(&sim.stage.stored(), mortals);
    if let Some(what) = judged.wrong {
        return Err(safety("lives", what));
    }
    if judged.ended > 0 {
        reached!(sim.probe(), "world: a mortal's life ended");
    }
    if judged.unheard > 0 {
        reached!(
            sim.probe(),
            "world: a mortal was deleted before it heard from itself"
        );
    }
    if judged.unrung > 0 {
        reached!(
            sim.probe(),
            "world: a mortal was deleted before its alarm rang"
        );
    }
    Ok(judged.open)
}

/// One order explains what the callers of each register were told (P4, P5).
fn judge_operations(sim: &Sim, operations: &Operations) -> Result<(), Violation> {
    match operations.judge(&sim.log()?, &sim.voids()) {
        Judged::Fine => Ok(()),
        Judged::Wrong(what) => Err(safety("linearizable", what)),
        Judged::GivenUp => {
            reached!(sim.probe(), "world: too many orders to look at");
            Ok(())
        }
        Judged::Disorder(witness) => {
            for line in witness.to_string().lines() {
                sim.note(line);
            }
            Err(safety("linearizable", witness.line()))
        }
    }
}

/// Asks again until it is done.
async fn until_done<F: Future<Output = bool>>(
    sim: &Sim,
    whom: &str,
    ask: impl Fn() -> F,
) -> Result<(), Violation> {
    let until = sim.now() + Span::from(LAST_PATIENCE);
    while !ask().await {
        if sim.now() >= until {
            let what = format!("{whom} is not served, though everything healed");
            return Err(liveness("served", what));
        }
        sim.sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What was sent is taken, and what was set rings.
async fn finish(sim: &Sim, mortals: &mortal::Book) -> Result<(), Violation> {
    // Timers and messages of a stream that came back without its end may have been lost with it.
    if sim.voids().tail_lost() {
        return Ok(());
    }
    let until = sim.now() + sim.later();
    loop {
        let log = sim.log()?;
        let voids = sim.voids();
        // Whatever is sent between shards may come from one of which nothing is promised.
        let (gave, took) = match voids.unfenced_any() {
            true => (0, 0),
            false => purse::sums(&log),
        };
        let (twice, silent) = alarm::rung(&log, &voids);
        if let Some(what) = twice.first() {
            return Err(safety("reminders", what.clone()));
        }
        if took > gave {
            let what = format!("{gave} was given, and {took} taken");
            return Err(safety("transfers", what));
        }
        let open = lives(sim, mortals)?;
        if took == gave && silent == 0 && open == 0 {
            return Ok(());
        }
        if sim.now() >= until {
            let what = format!(
                "{gave} was given, and {took} taken; {silent} alarms did not ring; mortals wait for {open}"
            );
            return Err(liveness("finished", what));
        }
        sim.sleep(Duration::from_millis(200)).await;
    }
}

fn judge(sim: &Sim, book: &Book, witness: &Witness) -> Result<(), Violation> {
    let log = sim.log()?;
    let voids = sim.voids();
    let judged = book.judge(&log, &voids);
    judged.map_err(|what| safety("answers", what))?;
    let (together, disorders) = witness.wrong();
    if let Some(wrong) = together
        && voids.alone().is_none_or(|from| wrong.at < from)
    {
        return Err(safety("alone", wrong.what));
    }
    let owed = |it: &Disorder| {
        let (from, to) = it.way;
        !voids.is_disordered(from, to, it.wrong.at)
    };
    match disorders.into_iter().find(owed) {
        Some(it) => {
            let (from, to) = it.way;
            let what = format!("{}, from n{from} to n{to}", it.wrong.what);
            Err(safety("order", what))
        }
        None => Ok(()),
    }
}

fn safety(oracle: &'static str, what: String) -> Violation {
    let class = Class::Safety;
    Violation {
        class,
        oracle,
        what,
    }
}

fn liveness(oracle: &'static str, what: String) -> Violation {
    let class = Class::Liveness;
    Violation {
        class,
        oracle,
        what,
    }
}

impl Sim {
    fn active(&self) -> Span {
        self.stage.stretches().active
    }

    /// How long what an entity left to be done may take once everything healed.
    pub(super) fn later(&self) -> Span {
        self.stage.stretches().later
    }

    pub(super) fn log(&self) -> Result<super::super::log::Log, Violation> {
        self.stage.log()
    }

    /// Of what nothing is promised any more.
    pub(super) fn voids(&self) -> Voids {
        self.stage.voids()
    }

    /// Whether a log may be damaged: a stream came back without its end, or two owners wrote it.
    pub(super) fn may_be_damaged(&self) -> bool {
        let voids = self.voids();
        voids.tail_lost() || voids.unfenced_any()
    }

    /// Whether callers delete entities.
    pub(super) fn deletes(&self) -> bool {
        self.stage.deletes()
    }

    /// How many shards there are of each class.
    pub(super) fn shards(&self) -> u64 {
        u64::from(self.stage.shards())
    }

    /// Whether the store is a cluster of servers.
    pub(super) fn replicated(&self) -> bool {
        self.stage.replicated()
    }

    /// A line of the story.
    pub(super) fn note(&self, line: &str) {
        self.stage.note(line);
    }

    /// Where sites are counted.
    pub(super) fn probe(&self) -> Sites {
        Sites {
            probe: Counts(self.clone()),
        }
    }
}

/// What the probes' macros look for.
pub(super) struct Sites {
    pub(super) probe: Counts,
}

pub(super) struct Counts(Sim);

impl tenure_core::Probe for Counts {
    fn hit(&mut self, site: &'static tenure_core::Site, holds: bool) {
        self.0.stage.hit(site, holds);
    }
}
