//! Effects at work: shops sell, and each sale is billed outside, by handlers that take time, fail, panic,
//! hang and are cut off with their nodes. What failed for the last time is put aside, looked at, replayed
//! and removed. Who carries a bill out tells the shop, under the effect's key as the command's id. In the end
//! all is carried out, or removed, and every oracle of `judge` is asked.

mod book;
mod entity;
mod handler;
mod judge;
mod letters;
mod shape;

use super::super::cluster::SimCluster;
use super::super::sim::{Sim, SimTask};
use super::round::ENTITIES;
use crate::oracle::{Class, Violation};
use book::Book;
use entity::{How, Sell, Shop};
use judge::Wanted;
use shape::Shape;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::step::Time;
use tenure_core::{Probe as _, reached};

/// The clients that sell, and the one that looks at dead letters.
const SELLERS: [u64; 2] = [50, 51];
const LOOKER: u64 = 52;

/// The client of the end.
const LAST: u64 = 1_050;

/// How often a sale is asked again under its id.
const TRIES_MAX: u32 = 3;

/// How long one question waits.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The outside of a run, which its nodes' handlers and its test share.
#[derive(Clone)]
pub(in super::super) struct Outside {
    shape: Shape,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// The run, while it lasts.
    sim: Mutex<Option<Sim>>,
    book: Mutex<Book>,
    /// The first thing that was wrong.
    wrong: Mutex<Option<String>>,
}

/// Those who sell and look.
pub(super) struct Sellers {
    outside: Option<Outside>,
    at_work: Vec<SimTask<()>>,
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outside {
    /// That of a seed.
    pub(in super::super) fn draw(seed: u64) -> Self {
        Self {
            shape: Shape::draw(seed),
            known: Arc::default(),
        }
    }

    /// Its shops, and on each node who carries bills out.
    pub(in super::super) fn served(&self, cluster: SimCluster) -> SimCluster {
        let outside = self.clone();
        let cluster = cluster.serve::<Shop>();
        cluster.effect_on(move |node| outside.handler(node))
    }

    /// The run is over: it keeps nothing of it.
    pub(in super::super) fn ends(&self) {
        lock(&self.known.sim).take();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.known.book)
    }

    fn sim(&self) -> Option<Sim> {
        lock(&self.known.sim).clone()
    }

    /// True time, in nanoseconds.
    fn now(&self) -> u64 {
        self.sim().map_or(0, |sim| sim.now().as_nanos())
    }

    fn is_wrong(&self, what: String) {
        lock(&self.known.wrong).get_or_insert(what);
    }

    /// Sells until a time.
    async fn sells(self, (sim, client): (Sim, u64), until: Time) {
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = sim.turn(client, number);
            let pace = Duration::from_millis(20 + turn.random(250));
            sim.sleep(pace).await;
            let shop = format!("shop-{}", turn.random(ENTITIES));
            let sell = Sell {
                sale: client << 32 | number,
                parts: 1 + u32::try_from(turn.random(3)).expect("a small number"),
                how: match turn.random(6) {
                    0 => How::Quietly,
                    1 => How::Later {
                        after_ms: turn.random(1_500),
                    },
                    _ => How::Now,
                },
            };
            if !turn.is_asked() {
                continue;
            }
            let id = turn.tenure().await.command_id();
            for attempt in 0..TRIES_MAX {
                let shop = turn.tenure().await.entity::<Shop>(&shop);
                // Whether it was sold or not, what was sold is billed.
                if shop.ask(sell).id(id).timeout(PATIENCE).await.is_ok() {
                    break;
                }
                sim.sleep(Duration::from_millis(40 << attempt)).await;
            }
        }
    }

    /// What is missing, when nothing befalls anything any more: each letter is mended and replayed.
    async fn missing(&self, sim: &Sim, number: u64) -> Result<Option<String>, Violation> {
        self.told()?;
        let turn = sim.turn(LAST, number);
        let letters = self.replays_all(&turn).await;
        let wanted = self.wanted(sim)?;
        let open = judge::missing(&wanted, &self.book());
        Ok(open.or_else(|| match letters {
            Some(0) => None,
            Some(letters) => Some(format!("{letters} letters are to be replayed")),
            None => Some("the letters cannot be listed".to_owned()),
        }))
    }

    /// What was wrong while it ran.
    fn told(&self) -> Result<(), Violation> {
        let wrong = lock(&self.known.wrong).take();
        wrong.map_or(Ok(()), |what| Err(judge::broken("put-aside", what)))
    }

    fn wanted(&self, sim: &Sim) -> Result<Wanted, Violation> {
        Wanted::of(&sim.stage.stored()).map_err(|what| judge::broken("format", what))
    }
}

impl Sellers {
    /// Those of a run with an outside, until a time.
    pub(super) fn at_work(sim: &Sim, outside: Option<Outside>, until: Time) -> Self {
        let mut at_work = Vec::new();
        if let Some(outside) = &outside {
            lock(&outside.known.sim).replace(sim.clone());
            for client in SELLERS {
                let sells = outside.clone().sells((sim.clone(), client), until);
                at_work.push(sim.spawn(sells));
            }
            at_work.push(sim.spawn(outside.clone().looks(sim.clone(), until)));
        }
        Self { outside, at_work }
    }

    /// All that was sold is billed, or was put aside and removed; and nothing else is.
    pub(super) async fn finish(self, sim: &Sim) -> Result<(), Violation> {
        let Some(outside) = self.outside else {
            return Ok(());
        };
        for seller in self.at_work {
            seller.await;
        }
        outside.book().well = true;
        // What was sold, or is to be told, may be lost there.
        if sim.may_be_damaged() {
            return judge::judge(sim, &outside.wanted(sim)?, &outside.book(), &outside.shape);
        }
        // What is put aside now is done once more after that.
        let until = sim.now() + sim.later() + sim.later();
        let mut number = 0;
        while let Some(missing) = outside.missing(sim, number).await? {
            if sim.now() >= until {
                outside.wrongs(sim)?;
                return Err(Violation {
                    class: Class::Liveness,
                    oracle: "carried-out",
                    what: format!("{missing} (P7)"),
                });
            }
            number += 1;
            sim.sleep(Duration::from_millis(200)).await;
        }
        reached!(sim.probe(), "world: all effects are carried out");
        outside.wrongs(sim)
    }
}
