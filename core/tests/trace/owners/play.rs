//! The commands of a story about ownership.

use super::{Class, Cluster, Fate};
use crate::bank::Order as Wish;
use crate::story::{Stage, span};
use std::collections::BTreeSet;
use tenure_core::format::TakeOver;
use tenure_core::id::{Incarnation, Sequence, ShardId, Ticket};
use tenure_core::log::Freshness;
use tenure_core::node::{About, PeerState, Role, Standing};
use tenure_core::shard::{Input, Place};
use tenure_core::{Span, Time};

/// How long a lease holds that the script does not end.
const LEASE: Span = Span::from_secs(100_000);

impl Stage for Cluster {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["cluster", settings @ ..] => self.set(settings)?,
            ["start", name, settings @ ..] => {
                let about = self.described(settings)?;
                self.boot(name, about);
            }
            ["join", names @ ..] => self.join(names),
            ["run"] => self.run(),
            ["advance", by] => self.advance(span(by)?),
            ["owners"] => self.say_owners(),
            ["late"] => self.arrive_late(),
            ["tail", sequence] => self.lose_tail(sequence_of(sequence)?),
            ["list"] => self.list(),
            [node, rest @ ..] if self.nodes.contains_key(*node) => self.node_command(node, rest)?,
            _ => return Err("no such command or node".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        Cluster::take_lines(self)
    }

    fn end(&mut self) {
        self.run();
        self.check();
    }
}

impl Cluster {
    fn set(&mut self, settings: &[&str]) -> Result<(), String> {
        let mut shards = 4;
        let mut classes = BTreeSet::from([TakeOver::Fenced]);
        for setting in settings {
            match setting.split_once('=') {
                Some(("shards", n)) => shards = n.parse().map_err(|_| "a number of shards")?,
                Some(("hand_overs_max", n)) => {
                    self.limits.hand_overs_max = n.parse().map_err(|_| "a number")?;
                }
                Some(("claims_max", n)) => {
                    self.limits.claims_max = n.parse().map_err(|_| "a number")?;
                }
                None if *setting == "leased" => classes = BTreeSet::from([TakeOver::Leased]),
                None if *setting == "both" => classes.extend([TakeOver::Leased]),
                _ => return Err(format!("{setting:?} is no setting")),
            }
        }
        self.open(shards, classes);
        Ok(())
    }

    fn described(&self, settings: &[&str]) -> Result<About, String> {
        let mut about = self.about();
        for setting in settings {
            match setting.split_once('=') {
                Some(("weight", n)) => about.weight = n.parse().map_err(|_| "a weight")?,
                None if *setting == "client" => about.role = Role::Client,
                None if *setting == "no-leased" => {
                    about.classes.remove(&TakeOver::Leased);
                }
                _ => return Err(format!("{setting:?} is nothing that a node is")),
            }
        }
        Ok(about)
    }

    /// Everybody knows these nodes from now on, as they are now, and they hold their leases.
    pub(crate) fn join(&mut self, names: &[&str]) {
        for name in names {
            let until = self.now + LEASE;
            self.step_owners(name, Input::Lease(Some(until)));
        }
        let everybody: Vec<_> = self.nodes.keys().cloned().collect();
        for of in everybody {
            self.know(&of, names);
        }
    }

    /// A node knows these, and lists the members.
    fn know(&mut self, of: &str, names: &[&str]) {
        let peers: Vec<_> = names
            .iter()
            .map(|name| (Self::node_name(name), self.peer(name, PeerState::Up)))
            .collect();
        self.change_view(of, |view| {
            for (name, peer) in peers {
                view.lingering.remove(&peer.incarnation);
                if let Some(before) = view.peers.insert(name, peer.clone())
                    && before.incarnation != peer.incarnation
                {
                    view.lingering.insert(before.incarnation, Standing::Hinted);
                }
            }
            view.listed += 1;
        });
    }

    /// Everybody lists the members.
    pub(crate) fn list(&mut self) {
        let everybody: Vec<_> = self.nodes.keys().cloned().collect();
        for of in everybody {
            self.change_view(&of, |view| view.listed += 1);
        }
    }

    /// How others see a node.
    pub(crate) fn see(&mut self, name: &str, by: Option<&str>, standing: Standing) {
        let run = self.nodes[name].run;
        let others = self.nodes.keys().filter(|other| *other != name);
        let others: Vec<_> = others
            .filter(|of| by.is_none_or(|by| by == *of))
            .cloned()
            .collect();
        for of in others {
            let node = Self::node_name(name);
            self.change_view(&of, |view| {
                if let Some(before) = view.lingering.get_mut(&run) {
                    *before = standing;
                } else if standing == Standing::Over {
                    view.peers.remove(&node);
                    view.lingering.insert(run, Standing::Over);
                } else if let Some(peer) = view.peers.get_mut(&node) {
                    peer.standing = standing;
                }
            });
        }
    }

    /// Everybody knows what became of a run that was replaced.
    pub(crate) fn linger(&mut self, run: Incarnation, standing: Standing) {
        let everybody: Vec<_> = self.nodes.keys().cloned().collect();
        for of in everybody {
            self.change_view(&of, |view| {
                view.lingering.insert(run, standing);
            });
        }
    }

    pub(crate) fn lease(&mut self, node: &str, until: Option<Time>) {
        self.step_owners(node, Input::Lease(until));
    }

    /// All runs that were replaced are over, and everybody knows.
    #[allow(dead_code, reason = "the properties ask for it, stories do not")]
    pub(crate) fn all_over_before(&mut self) {
        let everybody: Vec<_> = self.nodes.keys().cloned().collect();
        for of in everybody {
            self.change_view(&of, |view| {
                for standing in view.lingering.values_mut() {
                    *standing = Standing::Over;
                }
            });
        }
    }

    /// A node that takes no step has a lease that ends then: it was told before it stopped.
    #[allow(dead_code, reason = "the properties ask for it, stories do not")]
    pub(crate) fn lease_quietly(&mut self, node: &str, until: Time) {
        let stopped = self.stopped.remove(node);
        self.lease(node, Some(until));
        if stopped {
            self.stopped.insert(node.to_owned());
        }
    }

    /// A node drains, and everybody knows.
    pub(crate) fn drain(&mut self, node: &str) {
        self.step_owners(node, Input::Drain);
        let peer = self.peer(node, PeerState::Draining);
        let name = Self::node_name(node);
        let everybody: Vec<_> = self.nodes.keys().cloned().collect();
        for of in everybody {
            let (name, peer) = (name.clone(), peer.clone());
            self.change_view(&of, |view| {
                view.peers.insert(name, peer);
            });
        }
    }

    /// A node is another run from now on: its ownership, then its logs, and everybody but the node
    /// itself knows that the former one is over.
    pub(crate) fn become_run(&mut self, node: &str, run: Incarnation) {
        let former = self.nodes[node].run;
        self.see(node, None, Standing::Over);
        self.step_owners(node, Input::Run(run));
        self.nodes.get_mut(node).expect("a node").run = run;
        self.run();
        for place in self.nodes[node].places() {
            self.step_log(node, place, tenure_core::log::Input::Run(run));
        }
        let name = Self::node_name(node);
        self.change_view(node, |view| {
            view.peers.remove(&name);
            view.lingering.insert(former, Standing::Over);
        });
    }

    /// A node that took no step takes steps again.
    pub(crate) fn go_on(&mut self, node: &str) {
        if self.stopped.remove(node) {
            self.step_owners(node, Input::Tick);
            // What it missed of the others, it learns now.
            self.change_view(node, |view| view.listed += 1);
        }
    }

    fn node_command(&mut self, node: &str, words: &[&str]) -> Result<(), String> {
        match words {
            ["hinted"] => self.see(node, None, Standing::Hinted),
            ["hinted", "by", other] => self.see(node, Some(other), Standing::Hinted),
            ["back"] => self.see(node, None, Standing::Living),
            ["over"] => self.see(node, None, Standing::Over),
            // A restarted node's run before, by its number.
            ["over", run] => {
                let run: u128 = run.parse().map_err(|_| "the number of a run")?;
                self.linger(Incarnation(run), Standing::Over);
            }
            ["knows", names @ ..] => self.know(node, names),
            ["forgets", name] => {
                let name = Self::node_name(name);
                self.change_view(node, |view| {
                    view.peers.remove(&name);
                });
            }
            ["weight", weight] => {
                let weight = weight.parse().map_err(|_| "a weight")?;
                self.nodes.get_mut(node).expect("a node").about.weight = weight;
                self.join(&[node]);
            }
            ["becomes", run] => {
                let run: u128 = run.parse().map_err(|_| "the number of a run")?;
                self.become_run(node, Incarnation(run));
            }
            ["drains"] => self.drain(node),
            ["abandons"] => self.step_owners(node, Input::Abandon),
            ["lease", "none"] => self.lease(node, None),
            ["lease"] => {
                let until = self.now + LEASE;
                self.step_owners(node, Input::Lease(Some(until)));
            }
            ["lease", "for", time] => {
                let until = self.now + span(time)?;
                self.lease(node, Some(until));
            }
            ["stops"] => {
                self.stopped.insert(node.to_owned());
            }
            ["goes", "on"] => self.go_on(node),
            ["deaf"] => {
                self.deaf.insert(node.to_owned());
            }
            ["released"] => self.release(node),
            ["fault", class, fate] => {
                let class = match *class {
                    "claim" => Class::Claim,
                    "commit" => Class::Commit,
                    "owners" => Class::Owners,
                    _ => return Err("claim, commit or owners".into()),
                };
                let fate = match *fate {
                    "held" => Fate::Held,
                    "answer-lost" => Fate::AnswerLost,
                    "late" => Fate::Late,
                    _ => return Err("held, answer-lost or late".into()),
                };
                self.fault(node, class, fate);
            }
            ["asks", ticket, place, wish @ ..] => {
                let ticket = ticket.strip_prefix('t').and_then(|n| n.parse().ok());
                let ticket = Ticket(ticket.ok_or("a ticket such as t1")?);
                let (wish, freshness) = match wish {
                    ["deposit"] => (Wish::Deposit(1), Freshness::Linearizable),
                    ["withdraw"] => (Wish::Withdraw(1_000), Freshness::Linearizable),
                    ["read"] => (Wish::Ask, Freshness::Linearizable),
                    ["read", "local"] => (Wish::Ask, Freshness::Local),
                    _ => return Err("deposit, withdraw, read or read local".into()),
                };
                let patience = Span::from_secs(60);
                self.ask(node, ticket, place_of(place)?, wish, freshness, patience);
            }
            _ => return Err("no such command of a node".into()),
        }
        Ok(())
    }
}

/// A place such as `f3`.
fn place_of(text: &str) -> Result<Place, String> {
    let wrong = || format!("{text:?} is no place such as f3");
    let mut chars = text.chars();
    let class = match chars.next() {
        Some('f') => TakeOver::Fenced,
        Some('l') => TakeOver::Leased,
        Some(_) | None => return Err(wrong()),
    };
    let shard = ShardId(chars.as_str().parse().map_err(|_| wrong())?);
    Ok(Place { class, shard })
}

fn sequence_of(text: &str) -> Result<Sequence, String> {
    let number = text.strip_prefix('#').and_then(|n| n.parse().ok());
    number
        .map(Sequence)
        .ok_or_else(|| format!("{text:?} is no sequence such as #3"))
}
