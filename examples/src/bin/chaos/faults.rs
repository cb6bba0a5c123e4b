//! One fault after the other, some before the cluster has got over another one: done to it, seen to
//! be done, and measured.

use crate::asks::Asks;
use crate::fleet::{Fleet, Leaving};
use crate::history::Class;
use crate::probe::{Concerned, Measure, Measured, Probes};
use crate::schedule::{Fault, Planned, Second};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tenure_examples::Failure;
use tenure_nats_server::NatsServer;
use tokio::time::{Instant, sleep};

/// How long a cluster takes at most until it serves all again, and a shard until it is served.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster is settled when nothing has moved for so long: longer than nodes wait before they move
/// shards to one that came.
const QUIET: Duration = Duration::from_millis(1_500);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Probes are there for so long before their fault.
const WARM: Duration = Duration::from_millis(300);

/// How long the server is down.
const DOWN: Duration = Duration::from_secs(1);

/// So many shards of each class are probed where a fault may concern all.
const SAMPLE: usize = 12;

/// A fault that was done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Did {
    pub(crate) fault: &'static str,
    /// The node, or the server.
    pub(crate) whom: String,
    /// When, since the run began.
    pub(crate) at_ms: u64,
    /// The fault that the cluster had not got over.
    pub(crate) during: Option<&'static str>,
    /// Of how many shards its owner was asked for.
    pub(crate) shards: usize,
}

/// How long callers had to wait, in microseconds: whether two faults met, by fault and class.
pub(crate) type Waits = BTreeMap<(bool, Fault, Class), Vec<u64>>;

/// A fault that was done, and that the cluster has not got over.
#[derive(Debug)]
struct Ongoing {
    fault: Fault,
    did: Did,
    began: Instant,
    probes: Option<Probes>,
    remains: Remains,
}

/// What ends it.
#[derive(Debug)]
enum Remains {
    /// A node under its name is started again.
    Restart(String),
    /// It goes on after its time.
    GoOn(String),
    /// It ends by itself, and is started again.
    Ends(String, Box<Leaving>),
    /// The cluster settles.
    Settles,
    /// Nothing: the server was started again.
    Nothing,
}

/// The cluster under test, and what was done to it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) asks: Arc<Asks>,
    pub(crate) fleet: Fleet,
    pub(crate) server: Arc<NatsServer>,
    pub(crate) stop: Duration,
    pub(crate) done: Vec<Did>,
    pub(crate) waits: Waits,
    /// What went wrong with faults.
    pub(crate) failures: Vec<String>,
}

impl Scene {
    /// Does all of it. What could not be done is in the failures, and the rest is done all the same.
    pub(crate) async fn run(&mut self, planned: &[Planned], quiet: bool) {
        let begin = Instant::now();
        for one in planned {
            tokio::time::sleep_until(begin + one.at).await;
            let done = match self.settled().await {
                Ok(()) => self.carry_out(one, quiet).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.not_done(one.fault, &error);
            }
        }
        if let Err(error) = self.settled().await {
            self.failures.push(format!("after all faults: {error}"));
        }
    }

    /// Waits until every node that runs is a member, every shard is served by one of them, and
    /// nothing moves any more. What has ended without being asked to is started again.
    pub(crate) async fn settled(&mut self) -> Result<(), Failure> {
        let late = Instant::now() + PATIENCE;
        let (mut last, mut since) = (None, Instant::now());
        loop {
            self.fleet.revive().await?;
            let names = self.fleet.names();
            let cluster = self.asks.clients[0].cluster();
            let view = cluster.ok_or("the run's own node is in no cluster")?.view();
            let owned = Class::ALL.map(|class| {
                let owned = view.owned(class.of()).into_iter();
                let owned = owned.map(|(name, shards)| (name.to_owned(), shards));
                owned.collect::<BTreeMap<_, _>>()
            });
            let complete = names.iter().all(|name| view.node(name).is_some())
                && Class::ALL.iter().all(|class| view.is_served(class.of()))
                && owned
                    .iter()
                    .flat_map(BTreeMap::keys)
                    .all(|name| names.contains(name));
            let now = (complete, owned);
            if last.as_ref() != Some(&now) {
                (last, since) = (Some(now), Instant::now());
            } else if complete && since.elapsed() >= QUIET {
                return Ok(());
            }
            if Instant::now() > late {
                return Err(
                    format!("the cluster did not settle within {PATIENCE:?}: {view:?}").into(),
                );
            }
            sleep(LOOK).await;
        }
    }

    fn not_done(&mut self, fault: Fault, error: &Failure) {
        let fault = fault.name();
        self.failures.push(format!("{fault} was not done: {error}"));
    }

    async fn carry_out(&mut self, planned: &Planned, quiet: bool) -> Result<(), Failure> {
        let mut first = self.begin(planned.fault, planned.draw, None).await?;
        let Some(second) = planned.second else {
            self.measure(&mut first, false).await;
            return self.end(first, quiet).await;
        };
        let Second { after, fault, draw } = second;
        // One that stands still is measured alone: its second comes late.
        if first.fault == Fault::Stop {
            self.measure(&mut first, false).await;
        }
        tokio::time::sleep_until(first.began + after).await;
        let second = self.begin(fault, draw, Some(&first)).await;
        let mut second = match second {
            Ok(second) => Some(second),
            Err(error) => {
                self.not_done(fault, &error);
                None
            }
        };
        if first.probes.is_some() {
            self.measure(&mut first, true).await;
        }
        let ended = self.end(first, quiet).await;
        if let Some(mut second) = second.take() {
            self.measure(&mut second, true).await;
            self.end(second, quiet).await?;
        }
        ended
    }

    /// Does it, while probes ask; `during` is one that the cluster has not got over.
    async fn begin(
        &mut self,
        fault: Fault,
        draw: u64,
        during: Option<&Ongoing>,
    ) -> Result<Ongoing, Failure> {
        let mut names = self.fleet.names();
        names.retain(|name| during.is_none_or(|first| first.did.whom != *name));
        let place = draw % (names.len() as u64).max(1);
        let victim = names.get(usize::try_from(place)?).cloned();
        let victim = victim.ok_or("no node runs")?;
        let concerned = match fault {
            Fault::Kill | Fault::Stop | Fault::Drain => self.owned_by(&victim).await?,
            Fault::Join | Fault::Nats => self.sample(&names).await?,
        };
        let (measure, pause_ms) = match fault {
            Fault::Kill | Fault::Stop => (Measure::TakeOver, 10),
            Fault::Drain => (Measure::HandOver, 5),
            Fault::Join => (Measure::HandOver, 10),
            Fault::Nats => (Measure::Return, 20),
        };
        let probes = self.probes(&concerned, measure, pause_ms).await;
        let (began, at_us) = (Instant::now(), self.asks.now_us());
        let mut shards = concerned.len();
        let (whom, remains) = match fault {
            Fault::Kill => {
                self.fleet.kill(&victim).await?;
                probes.faulted(at_us);
                (victim.clone(), Remains::Restart(victim))
            }
            Fault::Stop => {
                self.fleet.stop(&victim).await?;
                probes.faulted(at_us);
                (victim.clone(), Remains::GoOn(victim))
            }
            Fault::Drain => {
                probes.faulted(at_us);
                let leaving = Box::new(self.fleet.ask_to_end(&victim)?);
                (victim.clone(), Remains::Ends(victim, leaving))
            }
            Fault::Join => {
                probes.faulted(at_us);
                let joined = self.fleet.grow(1).await?;
                shards = 0;
                let joined = joined.first().ok_or("no node was started")?;
                (joined.clone(), Remains::Settles)
            }
            Fault::Nats => {
                let server = Arc::clone(&self.server);
                tokio::task::spawn_blocking(move || server.kill()).await??;
                probes.faulted(at_us);
                sleep(DOWN).await;
                let server = Arc::clone(&self.server);
                tokio::task::spawn_blocking(move || server.restart()).await??;
                ("nats-server".to_owned(), Remains::Nothing)
            }
        };
        self.asks.history.fault(fault.name(), &whom, at_us);
        Ok(Ongoing {
            fault,
            did: Did {
                fault: fault.name(),
                whom,
                at_ms: at_us / 1_000,
                during: during.map(|first| first.fault.name()),
                shards,
            },
            began,
            probes: Some(probes),
            remains,
        })
    }

    /// Waits for what the probes tell.
    async fn measure(&mut self, ongoing: &mut Ongoing, overlapped: bool) {
        let Some(probes) = ongoing.probes.take() else {
            return;
        };
        let measured = match ongoing.fault {
            Fault::Kill | Fault::Stop | Fault::Drain | Fault::Nats => probes.all().await,
            Fault::Join => {
                // What does not settle is told when it ends.
                let settled = self.settled().await;
                let mut moved = probes.end().await;
                match self.owned_by(&ongoing.did.whom).await {
                    Ok(owned) => {
                        ongoing.did.shards = owned.len();
                        // Most of the sample stays where it was; of the rest it is known where it went.
                        let went_there = |one: &Concerned| {
                            let mut owned = owned.iter();
                            owned.any(|it| (it.class, it.shard) == (one.class, one.shard))
                        };
                        moved.retain(|one| one.took_us.is_some() || went_there(&one.concerned));
                    }
                    Err(error) => {
                        moved.retain(|one| one.took_us.is_some());
                        if settled.is_ok() && !overlapped {
                            self.failures.push(format!("a join moved nothing: {error}"));
                        }
                    }
                }
                moved
            }
        };
        let fault = ongoing.fault;
        for Measured { concerned, took_us } in measured {
            let Concerned { class, shard, .. } = concerned;
            match took_us {
                Some(took_us) => {
                    let waits = self.waits.entry((overlapped, fault, class));
                    waits.or_default().push(took_us);
                }
                None => self.failures.push(format!(
                    "shard {shard} ({}) had no other owner within {PATIENCE:?} after {}",
                    class.name(),
                    fault.name(),
                )),
            }
        }
    }

    /// Lets the cluster have what it lacks, and notes what was done.
    async fn end(&mut self, ongoing: Ongoing, quiet: bool) -> Result<(), Failure> {
        let Ongoing {
            mut did,
            began,
            remains,
            ..
        } = ongoing;
        match remains {
            Remains::Restart(victim) => self.fleet.restart(&victim).await?,
            Remains::GoOn(victim) => {
                tokio::time::sleep_until(began + self.stop).await;
                let stopped = self.fleet.is_stopped(&victim);
                self.fleet.go_on(&victim)?;
                if !stopped {
                    return Err(format!("{victim} did not stay stopped").into());
                }
            }
            Remains::Ends(victim, leaving) => {
                let ended = leaving.ended().await;
                self.fleet.restart(&victim).await?;
                ended?;
            }
            Remains::Settles => {
                self.settled().await?;
                did.shards = self.owned_by(&did.whom).await?.len();
            }
            Remains::Nothing => {}
        }
        if !quiet {
            let Did {
                fault,
                whom,
                at_ms,
                during,
                shards,
            } = &did;
            let during = during.map_or_else(String::new, |first| format!(" after {first}"));
            println!("{at_ms:>7} ms  {fault} {whom}{during}, {shards} shards");
        }
        self.done.push(did);
        Ok(())
    }

    async fn probes(&self, concerned: &[Concerned], measure: Measure, pause_ms: u64) -> Probes {
        let pause = Duration::from_millis(pause_ms);
        let patience = PATIENCE + self.stop;
        let probes = Probes::start(&self.asks, concerned, measure, pause, patience);
        sleep(WARM).await;
        probes
    }

    /// What a node owns, as it says itself.
    async fn owned_by(&self, name: &str) -> Result<Vec<Concerned>, Failure> {
        let info = self.asks.clients[0].node(name).info().await?;
        let owned = info.shards.iter().map(|owned| Concerned {
            class: if owned.leased {
                Class::Leased
            } else {
                Class::Fenced
            },
            shard: owned.shard,
            epoch: owned.epoch,
        });
        let owned: Vec<_> = owned.collect();
        if owned.is_empty() {
            return Err(format!("{name} owns nothing, so that nothing would be shown").into());
        }
        Ok(owned)
    }

    /// Some shards of each class, over these nodes.
    async fn sample(&self, names: &[String]) -> Result<Vec<Concerned>, Failure> {
        let mut all = Vec::new();
        for name in names {
            all.extend(self.owned_by(name).await?);
        }
        all.sort_unstable();
        let mut sample = Vec::new();
        for class in Class::ALL {
            let of: Vec<_> = all.iter().filter(|one| one.class == class).collect();
            let step = of.len().div_ceil(SAMPLE).max(1);
            sample.extend(of.into_iter().step_by(step).copied());
        }
        Ok(sample)
    }
}
