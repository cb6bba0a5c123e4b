//! One fault after the other: done to the cluster, seen to be done, and measured.

use crate::asks::Asks;
use crate::fleet::Fleet;
use crate::history::Class;
use crate::probe::{Concerned, Measure, Measured, Probes};
use crate::schedule::{Fault, Planned};
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
    /// Of how many shards its owner was asked for.
    pub(crate) shards: usize,
}

/// How long callers had to wait, in microseconds, by fault and class.
pub(crate) type Waits = BTreeMap<(Fault, Class), Vec<u64>>;

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
            let fault = one.fault.name();
            let done = match self.settled().await {
                Ok(()) => self.carry_out(one).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(did) => {
                    if !quiet {
                        let Did {
                            whom,
                            at_ms,
                            shards,
                            ..
                        } = &did;
                        println!("{at_ms:>7} ms  {fault} {whom}, {shards} shards asked meanwhile");
                    }
                    self.done.push(did);
                }
                Err(error) => self.failures.push(format!("{fault} was not done: {error}")),
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

    async fn carry_out(&mut self, planned: &Planned) -> Result<Did, Failure> {
        let names = self.fleet.names();
        let place = planned.draw % (names.len() as u64).max(1);
        let victim = names.get(usize::try_from(place)?).cloned();
        let victim = victim.ok_or("no node runs")?;
        match planned.fault {
            Fault::Kill => self.kill(&victim).await,
            Fault::Stop => self.stop(&victim).await,
            Fault::Drain => self.drain(&victim).await,
            Fault::Join => self.join().await,
            Fault::Nats => self.nats().await,
        }
    }

    async fn kill(&mut self, victim: &str) -> Result<Did, Failure> {
        let concerned = self.owned_by(victim).await?;
        let probes = self.probes(&concerned, Measure::TakeOver, 10).await;
        let at_us = self.asks.now_us();
        self.fleet.kill(victim).await?;
        let did = self.did(Fault::Kill, victim, at_us, &concerned);
        probes.faulted(at_us);
        self.measured(Fault::Kill, probes.all().await);
        self.fleet.restart(victim).await?;
        Ok(did)
    }

    async fn stop(&mut self, victim: &str) -> Result<Did, Failure> {
        let concerned = self.owned_by(victim).await?;
        let probes = self.probes(&concerned, Measure::TakeOver, 10).await;
        let (begin, at_us) = (Instant::now(), self.asks.now_us());
        self.fleet.stop(victim).await?;
        let did = self.did(Fault::Stop, victim, at_us, &concerned);
        probes.faulted(at_us);
        let measured = probes.all().await;
        tokio::time::sleep_until(begin + self.stop).await;
        let stopped = self.fleet.is_stopped(victim);
        self.fleet.go_on(victim)?;
        self.measured(Fault::Stop, measured);
        if stopped {
            Ok(did)
        } else {
            Err(format!("{victim} did not stay stopped").into())
        }
    }

    async fn drain(&mut self, victim: &str) -> Result<Did, Failure> {
        let concerned = self.owned_by(victim).await?;
        let probes = self.probes(&concerned, Measure::HandOver, 5).await;
        let at_us = self.asks.now_us();
        probes.faulted(at_us);
        let drained = self.fleet.drain(victim).await;
        let did = self.did(Fault::Drain, victim, at_us, &concerned);
        self.measured(Fault::Drain, probes.all().await);
        self.fleet.restart(victim).await?;
        drained.map(|()| did)
    }

    async fn join(&mut self) -> Result<Did, Failure> {
        let sample = self.sample().await?;
        let probes = self.probes(&sample, Measure::HandOver, 10).await;
        let at_us = self.asks.now_us();
        probes.faulted(at_us);
        let joined = self.fleet.grow(1).await?;
        let joined = joined.first().ok_or("no node was started")?.clone();
        let settled = self.settled().await;
        // Most of the sample stays where it was.
        let moved = probes.end().await;
        let moved = moved.into_iter().filter(|one| one.took_us.is_some());
        self.measured(Fault::Join, moved.collect());
        settled?;
        let owned = self.owned_by(&joined).await?;
        Ok(self.did(Fault::Join, &joined, at_us, &owned))
    }

    async fn nats(&mut self) -> Result<Did, Failure> {
        let sample = self.sample().await?;
        let probes = self.probes(&sample, Measure::Return, 20).await;
        let at_us = self.asks.now_us();
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.kill()).await??;
        probes.faulted(at_us);
        sleep(DOWN).await;
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart()).await??;
        let did = self.did(Fault::Nats, "nats-server", at_us, &sample);
        self.measured(Fault::Nats, probes.all().await);
        Ok(did)
    }

    fn did(&self, fault: Fault, whom: &str, at_us: u64, concerned: &[Concerned]) -> Did {
        self.asks.history.fault(fault.name(), whom, at_us);
        Did {
            fault: fault.name(),
            whom: whom.to_owned(),
            at_ms: at_us / 1_000,
            shards: concerned.len(),
        }
    }

    async fn probes(&self, concerned: &[Concerned], measure: Measure, pause_ms: u64) -> Probes {
        let pause = Duration::from_millis(pause_ms);
        let patience = PATIENCE + self.stop;
        let probes = Probes::start(&self.asks, concerned, measure, pause, patience);
        sleep(WARM).await;
        probes
    }

    fn measured(&mut self, fault: Fault, measured: Vec<Measured>) {
        for Measured { concerned, took_us } in measured {
            let Concerned { class, shard, .. } = concerned;
            match took_us {
                Some(took_us) => self.waits.entry((fault, class)).or_default().push(took_us),
                None => self.failures.push(format!(
                    "shard {shard} ({}) had no other owner within {PATIENCE:?} after {}",
                    class.name(),
                    fault.name(),
                )),
            }
        }
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

    /// Some shards of each class, over all nodes.
    async fn sample(&self) -> Result<Vec<Concerned>, Failure> {
        let mut all = Vec::new();
        for name in self.fleet.names() {
            all.extend(self.owned_by(&name).await?);
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
