//! The stage of routing: one lane of node `a`, and a script that says what the others do.

use crate::story::{Stage, clock, span};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use tenure_core::format::{FrameVersions, TakeOver};
use tenure_core::id::{ClaimId, Epoch, Incarnation, OpId, Sequence, ShardId, Ticket};
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::port::SendRefused;
use tenure_core::route::{
    Address, Asked, Effect, Input, Lost, Refusal, Repeat, Returned, Router, RouterConfig, Target,
};
use tenure_core::shard::{Place, Row, Table};
use tenure_core::step::CountingProbe;
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};

/// The router, what it was told and asked, and the clock.
pub(crate) struct Switch {
    router: Router,
    now: Time,
    probe: CountingProbe,
    revision: u64,
    asked: BTreeMap<Ticket, Asked>,
    /// The operations, by the number that stories call them by.
    ops: BTreeMap<u64, OpId>,
    /// The latest operation of each ticket.
    latest: BTreeMap<Ticket, OpId>,
    serves: BTreeMap<u64, Ticket>,
    ended: BTreeSet<Ticket>,
    lines: Vec<String>,
}

/// Lane 0 of node `a`.
fn router(lanes: u16, limits: Limits) -> Router {
    let config = RouterConfig {
        incarnation: node("a").expect("a node"),
        lane: 0,
        lanes,
    };
    Router::new(config, limits)
}

/// Limits that a story can reach.
fn small() -> Limits {
    let mut limits = Limits::default();
    limits.forwards_in_flight_max = 3;
    limits.forwards_waiting_max = 4;
    limits.serves_max = 4;
    limits
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self {
            router: router(1, Limits::default()),
            now: Time::ZERO,
            probe: CountingProbe::default(),
            revision: 0,
            asked: BTreeMap::new(),
            ops: BTreeMap::new(),
            latest: BTreeMap::new(),
            serves: BTreeMap::new(),
            ended: BTreeSet::new(),
            lines: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        let mut out = Effects::new(1_000);
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(1),
            probe: &mut self.probe,
        };
        self.router.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            let line = self.effect(effect);
            self.lines.push(format!("{} {line}", clock(self.now)));
        }
    }

    fn effect(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Here { ticket, doubt } => {
                self.end_of(ticket);
                format!("> {ticket:?} here{}", doubted(doubt))
            }
            Effect::Forward {
                ticket,
                op,
                to,
                ttl,
            } => {
                self.ops.insert(op.0 >> 20, op);
                self.latest.insert(ticket, op);
                format!("> {ticket:?} to {} as {}, ttl {ttl}", lane(to), short(op))
            }
            Effect::Told { ticket, op, doubt } => {
                self.end_of(ticket);
                let doubted = doubted(doubt);
                format!("= {ticket:?} told what {} returned{doubted}", short(op))
            }
            Effect::Refused { ticket, refusal } => {
                self.end_of(ticket);
                format!("= {ticket:?} refused: {}", refused(refusal))
            }
            Effect::Withdraw { to, op } => format!("> withdraw {} at {}", short(op), lane(to)),
            Effect::Serve {
                ticket,
                from,
                op,
                target,
                deadline,
            } => {
                let serve = ticket.0 >> 20;
                self.serves.insert(serve, ticket);
                let (op, from, target) = (op.0 >> 20, lane(from), shown(target));
                format!(
                    "> serve s{serve} ({target}) for op{op} of {from} until {}",
                    clock(deadline)
                )
            }
            Effect::Unserve { ticket } => format!("> stop serving s{}", ticket.0 >> 20),
            Effect::Answer { ticket, to, op } => {
                let (serve, op) = (ticket.0 >> 20, op.0 >> 20);
                format!("= answer of s{serve} to op{op} of {}", lane(to))
            }
            Effect::NotOwner { to, op, owner } => {
                let owner = owner.map_or("nobody known".to_owned(), row);
                format!(
                    "= not the owner to op{} of {}: {owner}",
                    op.0 >> 20,
                    lane(to)
                )
            }
            Effect::Decline { to, op, why } => {
                format!("= declined op{} of {}: {why:?}", op.0 >> 20, lane(to))
            }
            Effect::Hint { of } => format!("! nobody listens at {}", name(of)),
            Effect::Alive { of } => format!("! {} is there", name(of)),
            Effect::Halt(reason) => format!("! halt: {reason}"),
        }
    }

    fn end_of(&mut self, ticket: Ticket) {
        assert!(self.ended.insert(ticket), "R1: {ticket:?} ends twice");
    }

    fn advance(&mut self, by: Span) {
        let end = self.now + by;
        while let Some(deadline) = self.router.next_deadline() {
            if deadline.at > end {
                break;
            }
            self.now = self.now.max(deadline.at);
            self.lines
                .push(format!("{} * {}", clock(self.now), deadline.timer));
            self.step(Input::Tick);
        }
        self.now = end;
    }

    fn ask(&mut self, words: &[&str]) -> Result<(), String> {
        let [number, at, rest @ ..] = words else {
            return Err("ask <number> <target> …".into());
        };
        let mut asked = Asked {
            ticket: ticket(number)?,
            target: target(at)?,
            key: 0,
            deadline: self.now + Span::from_secs(5),
            repeat: Repeat::Never,
            answered: true,
            doubt: None,
        };
        for word in rest {
            match (*word, word.split_once('=')) {
                ("by-id", _) => asked.repeat = Repeat::ById,
                ("reads", _) => asked.repeat = Repeat::Reads,
                ("tell", _) => asked.answered = false,
                (_, Some(("key", key))) => asked.key = parse(key)?,
                (_, Some(("ttl", ttl))) => asked.deadline = self.now + span(ttl)?,
                (other, _) => return Err(format!("{other:?} is no part of a request")),
            }
        }
        self.asked.insert(asked.ticket, asked);
        self.step(Input::Ask(asked));
        Ok(())
    }

    /// An operation by its number, or the latest one of a ticket.
    fn op(&self, text: &str) -> Result<OpId, String> {
        let none = || format!("{text} was never forwarded");
        match text.strip_prefix("op") {
            Some(number) => self.ops.get(&parse(number)?).copied().ok_or_else(none),
            None => self.latest.get(&ticket(text)?).copied().ok_or_else(none),
        }
    }

    fn serve(&self, text: &str) -> Result<Ticket, String> {
        let number = text.strip_prefix('s').ok_or("a serve is s<number>")?;
        let found = self.serves.get(&parse(number)?);
        found
            .copied()
            .ok_or_else(|| format!("{text} was never served"))
    }

    fn view(&mut self, words: &[&str]) -> Result<(), String> {
        self.revision += 1;
        let mut view = View {
            revision: self.revision,
            ..View::default()
        };
        for word in words {
            let (letter, what) = word.split_once(':').unwrap_or((word, ""));
            let frames = match what {
                "newer" => FrameVersions::new(9, 9),
                _ => FrameVersions::THIS,
            };
            let standing = match what {
                "hinted" => Standing::Hinted,
                "over" => Standing::Over,
                _ => Standing::Living,
            };
            let about = About {
                role: Role::Owner,
                labels: BTreeMap::new(),
                zone: None,
                weight: 100,
                classes: BTreeSet::new(),
                kinds: None,
                groups: BTreeSet::new(),
                lanes: what.strip_prefix("lanes=").map_or(Ok(1), parse)?,
                frames,
                program: String::new(),
            };
            let peer = Peer {
                incarnation: node(letter)?,
                about,
                state: PeerState::Up,
                standing,
            };
            let name = NodeName::new(letter).map_err(|error| error.to_string())?;
            view.peers.insert(name, peer);
        }
        self.step(Input::View(Arc::new(view)));
        Ok(())
    }

    fn table(&mut self, words: &[&str]) -> Result<(), String> {
        self.revision += 1;
        let mut table = Table {
            revision: self.revision,
            ..Table::default()
        };
        for word in words {
            let (at, owner) = word
                .split_once('=')
                .ok_or("a row is <place>=<owner>@<epoch>")?;
            let Target::Place(place) = target(at)? else {
                return Err("a row is of a place".into());
            };
            table.rows.insert(place, owned(owner)?);
        }
        self.step(Input::Table(Arc::new(table)));
        Ok(())
    }
}

impl Stage for Switch {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["small-limits"] => self.router = router(1, small()),
            ["lanes", lanes] => self.router = router(parse(lanes)?, Limits::default()),
            ["becomes", run] => self.step(Input::Run(node(run)?)),
            ["up"] => self.step(Input::Up),
            ["down"] => self.step(Input::Down),
            ["view", nodes @ ..] => self.view(nodes)?,
            ["table", rows @ ..] => self.table(rows)?,
            ["ask", rest @ ..] => self.ask(rest)?,
            ["cancel", number] => {
                let ticket = ticket(number)?;
                self.ended.insert(ticket);
                self.step(Input::Cancel(ticket));
            }
            ["not-here", number] => {
                let ticket = ticket(number)?;
                assert!(self.ended.remove(&ticket), "{ticket:?} did not run here");
                let asked = self.asked[&ticket];
                self.step(Input::NotHere(asked));
            }
            ["answer", op] => {
                let (op, returned) = (self.op(op)?, Returned::Answer);
                self.step(Input::Returned { op, returned });
            }
            ["not-owner", op, named @ ..] => {
                let named = named.first().map(|owner| owned(owner)).transpose()?;
                let (op, returned) = (self.op(op)?, Returned::NotOwner(named));
                self.step(Input::Returned { op, returned });
            }
            ["no-responders", op] => self.step(Input::NoResponders(self.op(op)?)),
            ["not-sent", op, why] => {
                let refused = match *why {
                    "full" => SendRefused::Full,
                    "not-connected" => SendRefused::NotConnected,
                    _ => SendRefused::TooLarge {
                        bytes: 9,
                        bytes_max: 8,
                    },
                };
                let op = self.op(op)?;
                self.step(Input::NotSent { op, refused });
            }
            ["request", from, op, at, ttl] => self.step(Input::Request {
                from: asker(from)?,
                op: theirs(op)?,
                target: target(at)?,
                ttl: span(ttl)?,
            }),
            ["withdrawn", from, op] => self.step(Input::Withdrawn {
                from: asker(from)?,
                op: theirs(op)?,
            }),
            ["served", serve] => self.step(Input::Served(self.serve(serve)?)),
            ["not-served", serve] => self.step(Input::NotServed(self.serve(serve)?)),
            ["advance", by] => self.advance(span(by)?),
            _ => return Err("no such command".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {
        let counts = self.router.counts();
        let left: Vec<String> = self
            .asked
            .keys()
            .filter(|ticket| !self.ended.contains(ticket))
            .map(|ticket| format!("{ticket:?}"))
            .collect();
        if !left.is_empty() || counts.serving > 0 {
            self.lines.push(format!(
                "left: {} (in flight {}, waiting {}, serving {})",
                left.join(" "),
                counts.in_flight,
                counts.waiting,
                counts.serving
            ));
        }
        assert_eq!(self.probe.broken(), None);
    }
}

fn parse<N: std::str::FromStr<Err: Display>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn ticket(text: &str) -> Result<Ticket, String> {
    parse(text).map(Ticket)
}

/// Nodes are letters.
fn node(text: &str) -> Result<Incarnation, String> {
    match text.as_bytes() {
        [letter @ b'a'..=b'z'] => Ok(Incarnation(u128::from(letter - b'a') + 1)),
        _ => Err(format!("{text:?} is no node: one letter is")),
    }
}

fn name(node: Incarnation) -> char {
    char::from(b'a' + u8::try_from(node.0 - 1).expect("a letter"))
}

fn asker(text: &str) -> Result<Address, String> {
    let (incarnation, lane) = (node(text)?, 0);
    Ok(Address { incarnation, lane })
}

/// An operation of another lane.
fn theirs(text: &str) -> Result<OpId, String> {
    let number: u64 = parse(text.strip_prefix("op").unwrap_or(text))?;
    Ok(OpId(number << 20))
}

fn lane(address: Address) -> String {
    format!("{}/{}", name(address.incarnation), address.lane)
}

fn short(op: OpId) -> String {
    format!("op{}", op.0 >> 20)
}

fn target(text: &str) -> Result<Target, String> {
    let class = match text.as_bytes().first() {
        Some(b'f') => TakeOver::Fenced,
        Some(b'l') => TakeOver::Leased,
        _ => return node(text.strip_prefix("node-").unwrap_or(text)).map(Target::Node),
    };
    let shard = ShardId(parse(&text[1..])?);
    Ok(Target::Place(Place { class, shard }))
}

fn shown(target: Target) -> String {
    match target {
        Target::Place(Place { class, shard }) => {
            let class = if class == TakeOver::Fenced { 'f' } else { 'l' };
            format!("{class}{shard}")
        }
        Target::Node(node) => format!("node-{}", name(node)),
    }
}

fn owned(text: &str) -> Result<Row, String> {
    let (owner, sequence) = text.split_once('@').ok_or("an owner is <node>@<epoch>")?;
    Ok(Row {
        owner: node(owner)?,
        epoch: Epoch {
            sequence: Sequence(parse(sequence)?),
            claim: ClaimId(0),
        },
    })
}

fn row(row: Row) -> String {
    format!("{}@{}", name(row.owner), row.epoch.sequence)
}

fn doubted(doubt: Option<Lost>) -> &'static str {
    match doubt {
        Some(Lost::Deadline | Lost::Gone(_) | Lost::Disconnected) => {
            " (an earlier attempt may have run)"
        }
        None => "",
    }
}

fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::NoOwner(place) => format!("nobody owns {}", shown(Target::Place(place))),
        Refusal::NoNode(node) => format!("no node {}", name(node)),
        Refusal::NoCommonVersion(node) => format!("no common version with {}", name(node)),
        other @ (Refusal::Overloaded
        | Refusal::TooLarge { .. }
        | Refusal::Deadline
        | Refusal::Unknown(_)
        | _) => format!("{other:?}").replace(&format!("{:?}", Incarnation(2)), "b"),
    }
}
