//! The commands of a story about consumers.

use super::seat::Fate;
use super::{Desk, namespace, publish};
use crate::story::{Stage, span};
use bytes::Bytes;
use std::fmt::Display;
use std::str::FromStr;
use tenure_core::Span;
use tenure_core::consumer::{
    Command, Definition, Fault, Filter, Input, Keeping, Order, Pace, Source, Start, Then,
};
use tenure_core::format::{Cause, DeadLetter, EventPlace, Metadata, Placement, Position};
use tenure_core::id::{LayoutId, Partition, Sequence, Ticket, WallTime};
use tenure_core::name::{ConsumerName, EntityId, KindName};
use tenure_core::port::{Refused, Rollup, StoreRequest, Subject};
use tenure_core::space::SpaceError;

impl Stage for Desk {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["streams", streams] => self.make_streams(number(streams)?),
            ["commit", kind, id, rest @ ..] => self.commit_command(kind, id, rest)?,
            ["junk", kind, id] => {
                let (kind, id) = (kind_of(kind)?, id_of(id)?);
                let shard = self.layout.shard_of(Placement::Whole, &id);
                let subject = namespace().event_subject(shard, &kind, &id);
                self.store_event(shard, subject, Bytes::from_static(b"junk"));
            }
            ["advance", by] => self.advance(self.now + span(by)?),
            ["run"] => self.run(),
            ["tail", "consumers", keep] => {
                let stream = namespace().consumer_stream();
                self.store.lose_tail(&stream, Sequence(number(keep)?));
            }
            ["tail", stream, keep] => {
                let stream = namespace().event_stream(Partition(number(stream)?));
                self.store.lose_tail(&stream, Sequence(number(keep)?));
            }
            ["delete", stream, at] => {
                let stream = namespace().event_stream(Partition(number(stream)?));
                self.store.delete(&stream, Sequence(number(at)?));
            }
            ["forget", "checkpoint", name] => {
                let name = ConsumerName::new(name).map_err(|e| e.to_string())?;
                let stream = namespace().consumer_stream();
                let subject = namespace().checkpoint_subject(&name);
                let last = self.store.last_of(&stream, &subject);
                let at = last.map(|message| message.sequence);
                let at = at.ok_or("there is no checkpoint")?;
                self.store.delete(&stream, at);
            }
            ["foreign", "checkpoint", name, of] => self.foreign_checkpoint(name, of)?,
            ["spoil", "checkpoint", name] => {
                let subject = namespace().checkpoint_subject(&consumer(name)?);
                self.store_in_consumers(subject, Bytes::from_static(b"junk"));
            }
            ["spoil", "letter", name, place] => {
                let subject = namespace().dead_letter_subject(&consumer(name)?, place_of(place)?);
                self.store_in_consumers(subject, Bytes::from_static(b"junk"));
            }
            ["copy", "letter", name, place, "of", of] => self.copied_letter(name, place, of)?,
            [label, "starts", name, settings @ ..] => {
                let (reset, settings): (Vec<_>, Vec<_>) = settings
                    .iter()
                    .copied()
                    .partition(|word| word.starts_with("reset="));
                let reset = match reset.first().and_then(|word| word.split_once('=')) {
                    Some((_, "beginning")) => Some(Start::Beginning),
                    Some((_, at)) => {
                        Some(Start::After(vec![Position::whole(Sequence(number(at)?))]))
                    }
                    None => None,
                };
                let (definition, pace) = self.definition(name, &settings)?;
                self.begin(label, definition, pace, reset);
            }
            [label, "fault", name, fate] => {
                let fate = match *fate {
                    "unknown" => Fate::Unknown,
                    "lost" => Fate::Lost,
                    "torn" => Fate::Torn,
                    "held" => Fate::Held,
                    "gone" => Fate::Refused(Refused::NoConsumer),
                    "nobody" => Fate::Refused(Refused::NoResponders),
                    "full" => Fate::Refused(Refused::NoSpace),
                    "absent" => Fate::Refused(Refused::NoStream),
                    "lacking" => Fate::Refused(Refused::NotFound),
                    _ => {
                        let known =
                            "unknown, lost, torn, held, gone, nobody, full, absent, lacking";
                        return Err(known.into());
                    }
                };
                let fates = self.faults.entry(((*label).to_owned(), (*name).to_owned()));
                fates.or_default().push_back(fate);
            }
            [label, "holds"] => match self.seats.get_mut(*label) {
                Some(seat) => seat.holds = true,
                None => drop(self.held.insert((*label).to_owned())),
            },
            [label, rest @ ..] if self.seats.contains_key(*label) => {
                self.seat_command(label, rest)?;
                self.run();
            }
            _ => return Err("no such command or consumer".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {}
}

impl Desk {
    fn commit_command(&mut self, kind: &str, id: &str, rest: &[&str]) -> Result<(), String> {
        let (mut events, mut name, mut metadata) = (1, "moved", None);
        for word in rest {
            match word.split_once('=') {
                Some(("events", value)) => events = number(value)?,
                Some(("name", value)) => name = value,
                Some((header, value)) => metadata = Some(Metadata::new().header(header, value)),
                None => return Err("events=, name=, or a header".into()),
            }
        }
        kind_of(kind)?;
        id_of(id)?;
        self.commit(kind, id, events, name, metadata);
        Ok(())
    }

    /// A checkpoint as another namespace, or another consumer, wrote it.
    fn foreign_checkpoint(&mut self, name: &str, of: &str) -> Result<(), String> {
        let name = ConsumerName::new(name).map_err(|e| e.to_string())?;
        let stream = namespace().consumer_stream();
        let subject = namespace().checkpoint_subject(&name);
        let last = self.store.last_of(&stream, &subject).ok_or("none")?;
        let mut checkpoint =
            tenure_core::format::Checkpoint::decode(&last.payload).map_err(|e| e.to_string())?;
        match of {
            "layout" => checkpoint.layout = tenure_core::id::LayoutId(8),
            "streams" => checkpoint.positions.push(Position::START),
            other => {
                checkpoint.consumer = ConsumerName::new(other).map_err(|e| e.to_string())?;
            }
        }
        let written = publish(stream, subject, checkpoint.encode());
        self.apply(&written);
        Ok(())
    }

    /// A dead letter as a copy of another log's, or another consumer's, has it; or the same once more.
    fn copied_letter(&mut self, name: &str, place: &str, of: &str) -> Result<(), String> {
        let stream = namespace().consumer_stream();
        let subject = namespace().dead_letter_subject(&consumer(name)?, place_of(place)?);
        let last = self.store.last_of(&stream, &subject).ok_or("none")?;
        let mut letter = DeadLetter::decode(&last.payload).map_err(|e| e.to_string())?;
        match of {
            "layout" => letter.layout = LayoutId(8),
            of => letter.consumer = consumer(of)?,
        }
        self.store_in_consumers(subject, letter.encode());
        Ok(())
    }

    fn store_in_consumers(&mut self, subject: Subject, payload: Bytes) {
        let mut written = publish(namespace().consumer_stream(), subject, payload);
        if let StoreRequest::Publish(publish) = &mut written {
            publish.rollup = Rollup::Subject;
        }
        self.apply(&written);
    }

    fn seat_command(&mut self, label: &str, words: &[&str]) -> Result<(), String> {
        match words {
            ["up"] => self.step(label, Input::Up),
            ["filter"] => {
                let nothing = self.seat(label).consumer.status().matches_nothing;
                let what = if nothing { "nothing" } else { "something" };
                self.line(format!("{label} matches {what}"));
            }
            ["lag"] => {
                let lag = self.seat(label).consumer.lag();
                self.line(format!(
                    "{label} lags by {} commits and {} events, the oldest for {}",
                    lag.commits, lag.events, lag.age
                ));
            }
            ["waits"] => {
                let waits_for = self.seat(label).consumer.status().waits_for;
                self.line(match waits_for {
                    Some(what) => format!("{label} waits: {what}"),
                    None => format!("{label} waits for nothing"),
                });
            }
            ["loses", "its", "namespace"] => {
                let stream = namespace().control_stream().as_str().into();
                let fault = Fault::Space(SpaceError::StreamLost { stream });
                self.step(label, Input::Unusable(Box::new(fault)));
            }
            ["crashes"] => {
                self.seats.remove(label);
            }
            ["handles"] => self.seat(label).holds = false,
            ["ends", "one"] => {
                self.end_batch(label);
            }
            ["fails", id, times] => {
                let fails = (number(times)?, Cause::Handler);
                self.seat(label).fails.insert((*id).to_owned(), fails);
            }
            ["cannot", "decode", id, times] => {
                let fails = (number(times)?, Cause::Undecodable);
                self.seat(label).fails.insert((*id).to_owned(), fails);
            }
            ["pauses"] => {
                let (ticket, by) = (Ticket(6), "ann".into());
                self.order(label, Command::Pause { ticket, by });
            }
            ["resumes"] => {
                let ticket = Ticket(7);
                self.order(label, Command::Resume { ticket });
            }
            ["rewinds", to @ ..] => {
                let (ticket, to) = (Ticket(1), self.start(to)?);
                self.order(label, Command::Rewind { ticket, to });
            }
            ["stops", within] => {
                let until = self.now + span(within)?;
                self.order(label, Command::Stop { until });
            }
            ["letters"] => {
                let command = Command::Letters {
                    ticket: Ticket(2),
                    after: Sequence::NONE,
                    letters_max: 100,
                };
                self.order(label, command);
            }
            ["replays", place] => {
                let (ticket, place) = (Ticket(3), place_of(place)?);
                self.order(label, Command::Replay { ticket, place });
            }
            ["looks", place] => {
                let (ticket, place) = (Ticket(4), place_of(place)?);
                self.order(label, Command::Look { ticket, place });
            }
            ["removes", place] => {
                let (ticket, place) = (Ticket(5), place_of(place)?);
                self.order(label, Command::Remove { ticket, place });
            }
            ["status"] => {
                let status = self.seat(label).consumer.status();
                self.line(format!(
                    "{label} {:?} at {:?}, seen {:?}, lag {} commits {} events, handled {}, failures {}",
                    status.state,
                    status.positions,
                    status.seen,
                    status.lag.commits,
                    status.lag.events,
                    status.handled,
                    status.failures
                ));
            }
            _ => return Err("no such command of a consumer".into()),
        }
        Ok(())
    }

    fn order(&mut self, label: &str, command: Command) {
        self.step(label, Input::Order(command));
    }

    fn start(&self, words: &[&str]) -> Result<Start, String> {
        Ok(match words {
            ["beginning"] => Start::Beginning,
            ["new"] => Start::New,
            ["to", positions @ ..] => {
                let positions = positions
                    .iter()
                    .map(|at| Ok(Position::whole(Sequence(number(at)?))));
                Start::After(positions.collect::<Result<_, String>>()?)
            }
            ["back", by] => {
                let wall = self.wall().0;
                Start::At(WallTime(wall - span(by)?.as_millis()))
            }
            _ => return Err("beginning, new, to <sequence>…, back <span>".into()),
        })
    }

    fn definition(&self, name: &str, settings: &[&str]) -> Result<(Definition, Pace), String> {
        let mut definition = Definition {
            name: ConsumerName::new(name).map_err(|e| e.to_string())?,
            source: Source::Log,
            filter: Filter::default(),
            order: Order::PerEntity { handlers_max: 4 },
            start: Start::Beginning,
            keeping: Keeping::Stored,
        };
        let mut pace = Pace {
            stall_after: Span::from_secs(10),
            ..Pace::default()
        };
        for word in settings {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "kind" => {
                    definition.filter.kinds.insert(kind_of(value)?);
                }
                "id" => {
                    definition.filter.ids.insert(id_of(value)?);
                }
                "event" => {
                    definition.filter.events.insert(value.to_owned());
                }
                "header" => {
                    let (header, value) = value.split_once(':').unwrap_or((value, ""));
                    let value = (!value.is_empty()).then(|| value.to_owned());
                    definition.filter.headers.insert(header.to_owned(), value);
                }
                "serial" => definition.order = Order::Serial,
                "external" => {
                    let at = match value {
                        "" => None,
                        at => Some(vec![Position::whole(Sequence(number(at)?))]),
                    };
                    definition.keeping = Keeping::External { at, life: 1 };
                }
                "new" => definition.start = Start::New,
                "after" => {
                    let at = Position::whole(Sequence(number(value)?));
                    definition.start = Start::After(vec![at]);
                }
                "then" => pace.failing.then = then(value)?,
                "undecodable" => pace.undecodable.then = then(value)?,
                "retries" => pace.failing.retries_max = number(value)?,
                "batch" => pace.batch_events_max = number(value)?,
                "prefetch" => pace.prefetch_commits_max = number(value)?,
                "every" => pace.checkpoint_every = number(value)?,
                "behind" => pace.behind_events = number(value)?,
                _ => return Err(format!("no setting {name}")),
            }
        }
        Ok((definition, pace))
    }
}

fn then(value: &str) -> Result<Then, String> {
    match value {
        "stop" => Ok(Then::Stop),
        "skip" => Ok(Then::Skip),
        "dead-letter" => Ok(Then::DeadLetter),
        _ => Err("stop, skip, dead-letter".into()),
    }
}

fn place_of(text: &str) -> Result<EventPlace, String> {
    let mut parts = text.split('.');
    let mut next = || parts.next().ok_or("a place is stream.sequence.index");
    Ok(EventPlace {
        partition: Partition(number(next()?)?),
        sequence: Sequence(number(next()?)?),
        index: number(next()?)?,
    })
}

fn consumer(text: &str) -> Result<ConsumerName, String> {
    ConsumerName::new(text).map_err(|e| e.to_string())
}

fn kind_of(text: &str) -> Result<KindName, String> {
    KindName::new(text).map_err(|e| e.to_string())
}

fn id_of(text: &str) -> Result<EntityId, String> {
    EntityId::new(text).map_err(|e| e.to_string())
}

fn number<N: FromStr<Err: Display>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|e| format!("{text:?}: {e}"))
}
