//! The commands of a story about the log.

use crate::bank::Order as Wish;
use crate::show::Class;
use crate::story::{Stage, span};
use crate::world::{Fate, Setup, World};
use tenure_core::Time;
use tenure_core::format::{Metadata, TakeOver, WriteMode};
use tenure_core::id::{CommandId, LayoutId, Sequence, Ticket, Version, WallTime};
use tenure_core::log::{Expected, Freshness, Input, SnapshotPolicy};
use tenure_core::port::Refused;
use tenure_core::shard::Order;

/// How long a caller waits that does not say.
const PATIENCE: &str = "5s";

impl Stage for World {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["nodes", rest @ ..] => self.open(setup(rest)?),
            ["run"] => self.run(None),
            ["run", node] => self.run(Some(node)),
            ["run", node, "by", "rounds"] => self.run_by_rounds(Some(node)),
            ["advance", by] => self.advance(self.now() + span(by)?),
            ["log"] => self.say_log(),
            ["bodies"] => self.say_bodies(),
            ["lose", "bodies"] => self.lose_bodies(),
            [entity, "is", "away"] => {
                self.away.insert((*entity).to_owned());
            }
            [entity, "is", "back"] => {
                self.away.remove(*entity);
            }
            ["in", "flight"] => self.in_flight(),
            ["tail", sequence] => self.lose_tail(sequence_of(sequence)?),
            ["vanish", sequence] => self.vanish(sequence_of(sequence)?),
            [node, rest @ ..] if self.is_node(node) => self.node_command(node, rest)?,
            _ => return Err("no such command or node".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        World::take_lines(self)
    }

    fn end(&mut self) {
        self.check();
    }
}

impl World {
    fn node_command(&mut self, node: &str, words: &[&str]) -> Result<(), String> {
        match words {
            ["claim"] => self.step(node, Input::Claim),
            ["claim", "over", "nothing"] => self.order(
                node,
                Order::Claim {
                    over: Sequence::NONE,
                },
            ),
            ["claim", "over", at] => {
                let over = sequence_of(at)?;
                self.order(node, Order::Claim { over });
            }
            ["adopt", at] => {
                let epoch = self.recorded(sequence_of(at)?)?;
                self.order(node, Order::Adopt(epoch));
            }
            ["hand", "over", "to", other] => {
                let (to, other) = (self.run_of(other), other.parse());
                let other = other.map_err(|e| format!("{e}"))?;
                self.order(node, Order::HandOver { to, node: other });
            }
            ["release"] => self.order(node, Order::Release),
            ["drop"] => self.order(node, Order::Drop),
            ["lease", "none"] => self.step(node, Input::Lease(None)),
            ["lease", "for", time] => {
                let until = self.now() + span(time)?;
                self.step(node, Input::Lease(Some(until)));
            }
            ["evict"] => self.step(node, Input::Evict),
            ["down"] => self.step(node, Input::Down),
            ["up"] => self.up(node),
            ["restarts"] => self.boot(node),
            ["restarts", "without", "its", "kind"] => {
                self.begin(node);
                self.up(node);
            }
            ["learns", "its", "kind"] => self.learn(node),
            ["restarts", "with", settings @ ..] => {
                for word in settings {
                    let (name, value) = word.split_once('=').ok_or("a setting, name=value")?;
                    set(&mut self.setup, name, value)?;
                }
                self.boot(node);
            }
            ["released"] => self.release(node),
            ["late"] => self.arrive_late(node),
            ["fault", class, fate @ ..] => {
                let known = Class::ALL.iter().find(|(name, _)| name == class);
                let (_, class) = known.ok_or("a class of requests, such as commit or latest")?;
                self.fault(node, *class, fate_of(fate)?);
            }
            ["history", entity, count] => {
                let count: u64 = number(count)?;
                self.history(node, entity, count);
            }
            ["read", ticket, entity, options @ ..] => {
                let (freshness, options) = freshness(options);
                let caller = self.caller(options)?;
                let ticket = ticket_of(ticket)?;
                let (after, deadline) = (caller.at_least, caller.deadline);
                self.read(node, ticket, entity, freshness, after, deadline);
            }
            ["submit", ticket, entity, rest @ ..] => {
                let (order, options) = order(rest, self.wall())?;
                let caller = self.caller(options)?;
                let ticket = ticket_of(ticket)?;
                let Caller {
                    id,
                    expected,
                    metadata,
                    at_least,
                    deadline,
                } = caller;
                self.submit(
                    node, ticket, entity, order, id, expected, metadata, at_least, deadline,
                );
            }
            _ => return Err("no such command of a node".into()),
        }
        Ok(())
    }

    fn order(&mut self, node: &str, order: Order) {
        self.step(node, Input::Order(order));
    }

    /// Makes an entity with so many commits, untold.
    fn history(&mut self, node: &str, entity: &str, count: u64) {
        let loud = std::mem::replace(&mut self.loud, false);
        let deadline = self.now() + tenure_core::Span::from_secs(60);
        let first = (1_000_000..).find(|n| self.told(Ticket(*n)).is_none());
        let first = first.expect("a ticket that is free");
        for n in 0..count {
            let ticket = Ticket(first + n);
            let order = Wish::Deposit(1);
            let (any, known) = (Expected::Any, Sequence::NONE);
            self.submit(
                node, ticket, entity, order, None, any, None, known, deadline,
            );
            self.run(Some(node));
        }
        self.loud = loud;
    }

    fn caller(&mut self, options: &[&str]) -> Result<Caller, String> {
        let mut caller = Caller {
            id: None,
            expected: Expected::Any,
            metadata: None,
            at_least: Sequence::NONE,
            deadline: self.now() + span(PATIENCE)?,
        };
        for option in options {
            match option.split_once('=') {
                Some(("id", name)) => {
                    let (name, offset_ms) = named(name)?;
                    caller.id = Some(self.command(name, offset_ms));
                }
                Some(("said", text)) => {
                    caller.metadata = Some(Metadata::new().correlation(text));
                }
                Some(("for", text)) => caller.deadline = self.now() + span(text)?,
                Some(("at", version)) => caller.expected = Expected::Exactly(version_of(version)?),
                Some(("after", text)) => caller.at_least = sequence_of(text)?,
                None if *option == "present" => caller.expected = Expected::Present,
                _ => {
                    return Err(format!(
                        "{option:?} is no option: id=, said=, for=, at=, after=, present"
                    ));
                }
            }
        }
        Ok(caller)
    }
}

struct Caller {
    id: Option<CommandId>,
    expected: Expected,
    metadata: Option<Metadata>,
    at_least: Sequence,
    deadline: Time,
}

/// `x`, `x-200s` or `x+90s`: a name, and how far from now the id's time is.
fn named(text: &str) -> Result<(&str, i64), String> {
    let Some(place) = text.find(['-', '+']) else {
        return Ok((text, 0));
    };
    let (name, offset) = text.split_at(place);
    let millis = i64::try_from(span(&offset[1..])?.as_millis()).map_err(|e| e.to_string())?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    Ok((name, sign * millis))
}

fn setup(words: &[&str]) -> Result<Setup, String> {
    let mut setup = Setup::default();
    for word in words {
        match (*word, word.split_once('=')) {
            ("direct", _) => setup.mode = WriteMode::Direct,
            ("owned", _) => setup.mode = WriteMode::Owned,
            ("replicated", _) => setup.replicated = true,
            ("uncached", _) => setup.cached = false,
            ("local-replies", _) => setup.local_replies = true,
            ("leased", _) => setup.class = TakeOver::Leased,
            ("later", _) => setup.later = true,
            (_, Some((name, value))) => set(&mut setup, name, value)?,
            (name, None) => setup.nodes.push(name.to_owned()),
        }
    }
    Ok(setup)
}

fn set(setup: &mut Setup, name: &str, value: &str) -> Result<(), String> {
    let limits = &mut setup.limits;
    match name {
        "snapshots" => setup.snapshots = policy(value)?,
        "layout" => setup.layout = LayoutId(number(value)?),
        "snapshot_schema" => setup.snapshot_schema = number(value)?,
        "snapshot_bodies_max" => limits.snapshot_bodies_max = number(value)?,
        "snapshot_chores_max" => limits.snapshot_chores_max = number(value)?,
        "payload_bytes_max" => setup.payload_bytes_max = number(value)?,
        "resting_bytes_max" => limits.resting_bytes_max = number(value)?,
        "snapshots_unnamed_max" => limits.snapshots_unnamed_max = number(value)?,
        "entities_max" => limits.entities_max = number(value)?,
        "entity_queue_max" => limits.entity_queue_max = number(value)?,
        "shard_queue_max" => limits.shard_queue_max = number(value)?,
        "commit_commands_max" => limits.commit_commands_max = number(value)?,
        "commits_in_flight_max" => limits.commits_in_flight_max = number(value)?,
        "batch_messages_max" => limits.batch_messages_max = number(value)?,
        "chain_max" => limits.chain_max = number(value)?,
        "command_ids_max" => limits.command_ids_max = number(value)?,
        "command_ids_min" => limits.command_ids_min = number(value)?,
        "outcome_bytes_max" => limits.outcome_bytes_max = number(value)?,
        "metadata_bytes_max" => limits.metadata_bytes_max = number(value)?,
        "conflict_tries_max" => limits.conflict_tries_max = number(value)?,
        "entity_timers_max" => limits.entity_timers_max = number(value)?,
        "sends_max" => limits.sends_max = number(value)?,
        "shard_timers_max" => limits.shard_timers_max = number(value)?,
        "firings_max" => limits.firings_max = number(value)?,
        "dispatches_max" => limits.dispatches_max = number(value)?,
        "undone_max" => limits.undone_max = number(value)?,
        "aside_max" => limits.aside_max = number(value)?,
        "receiver_undone_max" => limits.receiver_undone_max = number(value)?,
        "index_every" => limits.index_every = number(value)?,
        "index_delay" => limits.index_delay = span(value)?,
        "index_page" => limits.index_page = number(value)?,
        "index_pause" => limits.index_pause = span(value)?,
        "wall_reread" => limits.wall_reread = span(value)?,
        "absent_patience" => limits.absent_patience = span(value)?,
        "snapshot_patience" => limits.snapshot_patience = span(value)?,
        "lost_tail_patience" => limits.lost_tail_patience = span(value)?,
        _ => return Err(format!("{name:?} is no setting")),
    }
    Ok(())
}

/// `never`, or several of `every:3`, `after-load:5`, `keep:1`, `expire:10s`, with commas.
fn policy(text: &str) -> Result<SnapshotPolicy, String> {
    let mut policy: Option<SnapshotPolicy> = None;
    for word in text.split(',') {
        let so_far = policy.unwrap_or_default();
        policy = Some(match word.split_once(':') {
            None if word == "never" => SnapshotPolicy::never(),
            Some(("every", n)) => SnapshotPolicy::every(number(n)?),
            Some(("after-load", n)) => so_far.or_after_load(number(n)?),
            Some(("keep", n)) => so_far.keep(number(n)?),
            Some(("expire", time)) => so_far.expires_after(span(time)?),
            _ => return Err(format!("{word:?} is no part of a policy")),
        });
    }
    let policy = policy.unwrap_or_default();
    policy.check().map_err(|error| error.to_string())?;
    Ok(policy)
}

fn order<'a>(words: &'a [&'a str], wall: WallTime) -> Result<(Wish, &'a [&'a str]), String> {
    let due = |text: &str| span(text).map(|wait| WallTime(wall.0 + wait.as_millis()));
    Ok(match words {
        ["deposit", amount, rest @ ..] => (Wish::Deposit(number(amount)?), rest),
        ["withdraw", amount, rest @ ..] => (Wish::Withdraw(number(amount)?), rest),
        ["greet", rest @ ..] => (Wish::Greet { record: false }, rest),
        ["record", rest @ ..] => (Wish::Greet { record: true }, rest),
        ["letter", bytes, rest @ ..] => (Wish::Letter(number(bytes)?), rest),
        ["arm", name, wait, "then", verb, amount, rest @ ..] => {
            (Wish::arm(name, due(wait)?, 0, verb, amount)?, rest)
        }
        ["arm", name, period, "each", "time", verb, amount, rest @ ..] => {
            let period_ms = span(period)?.as_millis();
            (
                Wish::arm(name, due(period)?, period_ms, verb, amount)?,
                rest,
            )
        }
        ["cancel", name, rest @ ..] => (Wish::cancel(name)?, rest),
        ["send", whom, verb, amount, rest @ ..] => (Wish::send(whom, verb, amount)?, rest),
        ["close", rest @ ..] => (Wish::Close, rest),
        ["explode", rest @ ..] => (Wish::Explode, rest),
        ["novelty", rest @ ..] => (Wish::Novelty, rest),
        ["import", versions, rest @ ..] => {
            let versions = versions
                .split(',')
                .map(version_of)
                .collect::<Result<_, _>>()?;
            (Wish::Import(versions), rest)
        }
        _ => {
            let orders = "deposit, withdraw, greet, record, arm, cancel, send, letter, import, close, explode or novelty";
            return Err(orders.into());
        }
    })
}

/// How fresh a read must be, and what else was said of it.
fn freshness<'a>(options: &'a [&'a str]) -> (Freshness, &'a [&'a str]) {
    match options {
        ["local", rest @ ..] => (Freshness::Local, rest),
        ["leased", rest @ ..] => (Freshness::Leased, rest),
        rest => (Freshness::Linearizable, rest),
    }
}

fn refusal_of(word: &str) -> Result<Refused, String> {
    Ok(match word {
        "InProcess" => Refused::InProcess,
        "TooManyBatches" => Refused::TooManyBatches,
        "Overloaded" => Refused::Overloaded,
        "NoResponders" => Refused::NoResponders,
        "NotConnected" => Refused::NotConnected,
        "NoSpace" => Refused::NoSpace,
        "Denied" => Refused::Denied("not allowed".into()),
        "WrongLast" => Refused::WrongLast { actual: None },
        _ => return Err(format!("{word:?} is no refusal that scripts know")),
    })
}

fn fate_of(words: &[&str]) -> Result<Fate, String> {
    Ok(match words {
        ["held"] => Fate::Held,
        ["slow"] => Fate::Slow,
        ["answer-lost"] => Fate::AnswerLost,
        ["lost"] => Fate::Lost,
        ["late"] => Fate::Late,
        ["corrupt"] => Fate::Corrupt,
        ["fails"] => Fate::Fails,
        ["absent"] => Fate::Refused(Refused::NotFound),
        ["stale", sequence] => Fate::Stale(sequence_of(sequence)?),
        ["refused", what] => Fate::Refused(refusal_of(what)?),
        ["heard", what] => Fate::Heard(refusal_of(what)?),
        ["late", what] => Fate::LateRefused(refusal_of(what)?),
        _ => {
            return Err(
                "held, slow, answer-lost, lost, late, corrupt, fails, absent, stale, refused or heard"
                    .into(),
            );
        }
    })
}

fn ticket_of(text: &str) -> Result<Ticket, String> {
    marked(text, 't').map(Ticket)
}

fn sequence_of(text: &str) -> Result<Sequence, String> {
    marked(text, '#').map(Sequence)
}

fn version_of(text: &str) -> Result<Version, String> {
    marked(text, 'v').map(Version)
}

fn marked(text: &str, mark: char) -> Result<u64, String> {
    let number = text.strip_prefix(mark).and_then(|n| n.parse().ok());
    number.ok_or_else(|| format!("{text:?} is no number after {mark:?}"))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
