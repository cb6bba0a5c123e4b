//! Asking: each attempt goes through one of the run's own nodes, which own nothing, and is a line of
//! the history.

use crate::history::{Ask, Class, Done, History, Op, Outcome};
use crate::kinds::{Acted, Add, Live, Look, Tally};
use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenure::actor::ActorError;
use tenure::{CommandId, Freshness, Never, ReadError, Tenure};
use tokio::time::Instant;

/// An ask that has not ended so long after its deadline is taken for lost; `check` finds it late.
const HUNG: Duration = Duration::from_secs(10);

/// Who asks, and what there is to ask.
#[derive(Debug)]
pub(crate) struct Asks {
    pub(crate) clients: Vec<Tenure>,
    pub(crate) history: History,
    /// The shard of each key, in both classes.
    pub(crate) shards: Vec<u16>,
    pub(crate) timeout: Duration,
    begin: Instant,
    turn: AtomicUsize,
}

/// What one attempt asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// To add, under an id where commands have one.
    Add { id: CommandId, amount: u64 },
    /// What it is at; `local` is content with an old state.
    Look { local: bool, is_final: bool },
}

impl Asks {
    pub(crate) fn new(clients: Vec<Tenure>, history: History, timeout: Duration) -> Self {
        Self {
            clients,
            history,
            shards: Vec::new(),
            timeout,
            begin: Instant::now(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The name of a key.
    pub(crate) fn key(number: usize) -> String {
        format!("k{number}")
    }

    /// Microseconds since the run began.
    pub(crate) fn now_us(&self) -> u64 {
        micros(self.begin.elapsed())
    }

    /// One of the run's own nodes, each in turn.
    pub(crate) fn client(&self) -> &Tenure {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.clients[turn % self.clients.len()]
    }

    /// A fresh id.
    pub(crate) fn id(&self) -> CommandId {
        self.clients[0].command_id()
    }

    /// Where an actor is; not a part of the history.
    pub(crate) async fn place(&self, number: usize) -> Result<u16, ActorError<Never>> {
        let live = self.client().actor::<Live>(Self::key(number));
        let acted = live.ask(Look).timeout(Duration::from_secs(30)).await?;
        Ok(acted.shard)
    }

    /// One attempt, from its beginning to its line in the history.
    pub(crate) async fn ask(&self, class: Class, number: usize, what: What) -> Ask {
        let key = Self::key(number);
        let client = self.client();
        let start_us = self.now_us();
        let asked = async {
            match (class, what) {
                (Class::Fenced, What::Add { id, amount }) => {
                    let entity = client.entity::<Tally>(&key);
                    let ask = entity.ask(Add { amount }).id(id).timeout(self.timeout);
                    match ask.served().await {
                        Ok(served) => Outcome::Ok(Done {
                            value: served.answer.reply,
                            version: served.answer.version.0,
                            sequence: served.answer.sequence.map(|sequence| sequence.0),
                            node: Some(served.node),
                            epoch: served.epoch.map(|epoch| epoch.sequence.0),
                            activation: None,
                            local: false,
                            duplicate: served.answer.duplicate,
                        }),
                        Err(error) => {
                            let told = error.to_string();
                            if error.rejected().is_some() {
                                Outcome::Rejected { error: told }
                            } else if error.is_unknown() || error.took_effect() {
                                Outcome::Unknown { error: told }
                            } else {
                                Outcome::Refused { error: told }
                            }
                        }
                    }
                }
                (Class::Fenced, What::Look { local, .. }) => {
                    let freshness = if local {
                        Freshness::Local
                    } else {
                        Freshness::Linearizable
                    };
                    let read = client.entity::<Tally>(&key).read(Look);
                    let read = read.freshness(freshness).timeout(self.timeout);
                    let seen = read.await.map(|seen| Done {
                        value: seen.count,
                        version: seen.version,
                        sequence: None,
                        node: None,
                        epoch: None,
                        activation: None,
                        local,
                        duplicate: false,
                    });
                    seen.map_or_else(unread, Outcome::Ok)
                }
                (Class::Leased, What::Add { amount, .. }) => {
                    let live = client.actor::<Live>(&key);
                    acted(live.ask(Add { amount }).timeout(self.timeout)).await
                }
                (Class::Leased, What::Look { .. }) => {
                    let live = client.actor::<Live>(&key);
                    acted(live.ask(Look).timeout(self.timeout)).await
                }
            }
        };
        let outcome = tokio::time::timeout(self.timeout + HUNG, asked).await;
        let ask = Ask {
            class,
            key,
            shard: self.shards.get(number).copied().unwrap_or(u16::MAX),
            op: match what {
                What::Add { .. } => Op::Add,
                What::Look { .. } => Op::Look,
            },
            id: match (class, what) {
                (Class::Fenced, What::Add { id, .. }) => Some(format!("{:032x}", id.0)),
                (Class::Leased, What::Add { .. }) | (_, What::Look { .. }) => None,
            },
            amount: match what {
                What::Add { amount, .. } => amount,
                What::Look { .. } => 0,
            },
            is_final: matches!(what, What::Look { is_final: true, .. }),
            start_us,
            end_us: self.now_us(),
            deadline_us: start_us + micros(self.timeout),
            outcome: outcome.unwrap_or_else(|_| Outcome::Unknown {
                error: "it was never answered".to_owned(),
            }),
        };
        self.history.ask(&ask);
        ask
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "it is what a result is mapped with"
)]
fn unread(error: ReadError) -> Outcome {
    let error = error.to_string();
    Outcome::Refused { error }
}

async fn acted(ask: impl IntoFuture<Output = Result<Acted, ActorError<Never>>> + Send) -> Outcome {
    match ask.into_future().await {
        Ok(acted) => Outcome::Ok(Done {
            value: acted.count,
            version: acted.turns,
            sequence: None,
            node: Some(acted.node),
            epoch: Some(acted.epoch),
            activation: Some(format!("{:016x}", acted.life)),
            local: false,
            duplicate: false,
        }),
        Err(error @ ActorError::Rejected(_)) => {
            let error = error.to_string();
            Outcome::Rejected { error }
        }
        Err(error) => {
            let told = error.to_string();
            if error.has_begun() {
                Outcome::Unknown { error: told }
            } else {
                Outcome::Refused { error: told }
            }
        }
    }
}
