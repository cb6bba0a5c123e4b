//! The commands of a story about groups of consumers.

use crate::circle::{Circle, Fate, namespace};
use crate::story::{Stage, span};
use tenure_core::consumer::group::{GroupOrder, Input};
use tenure_core::consumer::{Fault, Start};
use tenure_core::format::Position;
use tenure_core::id::{GroupPart, Sequence};
use tenure_core::node::Standing;
use tenure_core::space::SpaceError;

impl Stage for Circle {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["commit", id] => {
                let part = self.part_of(id, 2);
                self.commit(id);
                self.lines.push(format!("{id} is in partition {part} of 2"));
            }
            ["advance", by] => {
                let to = self.now + span(by)?;
                self.advance(to);
            }
            ["all", "stand", "still", "for", by] => self.stand_still(span(by)?),
            ["run"] => self.run(),
            ["the", "last", "record", "is", "lost"] => {
                let stream = namespace().consumer_stream();
                let last = self.store.last(&stream);
                self.store.lose_tail(&stream, Sequence(last.0 - 1));
            }
            ["groups", "begin", "with", "what", "is", "new"] => self.start = Start::New,
            ["records"] => {
                for part in 0..2 {
                    let line = match self.record(part) {
                        None => format!("{part}: none"),
                        Some((at, record)) => {
                            let owner = record.owner.map_or("nobody", |_| &record.node);
                            format!("{part}: #{at} of {owner}, at {:?}", record.positions)
                        }
                    };
                    self.lines.push(line);
                }
            }
            [name, "starts", rest @ ..] => {
                let (mut partitions, mut id) = (2, None);
                for word in rest {
                    match word.split_once('=') {
                        Some(("partitions", value)) => {
                            partitions = value.parse().map_err(|_| "a number")?;
                        }
                        Some(("id", value)) => id = Some(value),
                        _ => return Err("partitions=, id=".into()),
                    }
                }
                self.start(name, partitions, id);
                self.run();
            }
            [name, rest @ ..] if self.nodes.contains_key(*name) => self.node_command(name, rest)?,
            _ => return Err("no such command or node".into()),
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {}
}

impl Circle {
    fn node_command(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        match words {
            // Its process is gone, and nobody knows yet.
            ["dies"] => self.node(name).dead = true,
            ["is", "hinted"] => self.stands(name, Standing::Hinted),
            ["is", "over"] => self.stands(name, Standing::Over),
            // The store takes no heartbeat of it.
            ["is", "cut", "off"] => {
                let node = self.node(name);
                (node.leased, node.deaf) = (false, true);
            }
            ["is", "back"] => {
                let node = self.node(name);
                (node.leased, node.deaf) = (true, false);
            }
            ["leaves", "within", within] => {
                let until = self.now + span(within)?;
                let gives_up = false;
                self.step(name, Input::Leave { until, gives_up });
                self.run();
            }
            ["loses", "its", "namespace"] => {
                let stream = namespace().control_stream().as_str().into();
                let fault = Fault::Space(SpaceError::StreamLost { stream });
                self.step(name, Input::Unusable(Box::new(fault)));
                self.run();
            }
            ["pauses"] => {
                let by = format!("who is at {name}");
                self.order(name, GroupOrder::Pause { by });
                self.run();
            }
            ["resumes"] => {
                self.order(name, GroupOrder::Resume);
                self.run();
            }
            ["rewinds", "to", place] => {
                let to = match *place {
                    "beginning" => Start::Beginning,
                    "new" => Start::New,
                    place => {
                        let place = place.strip_prefix('#').and_then(|it| it.parse().ok());
                        let place = place.ok_or("beginning, new, or a commit such as #3")?;
                        Start::After(vec![Position::whole(Sequence(place))])
                    }
                };
                self.order(name, GroupOrder::Rewind(to));
                self.run();
            }
            ["holds"] => self.node(name).holds = true,
            ["handles"] => {
                self.node(name).holds = false;
                self.run();
            }
            ["fault", request, fate] => {
                let fate = match *fate {
                    "unknown" => Fate::Unknown,
                    "lost" => Fate::Lost,
                    "late" => Fate::Late,
                    "done" => Fate::Done,
                    "slow" => Fate::Slow,
                    "forbidden" => Fate::Forbidden,
                    _ => return Err("unknown, lost, late, done, slow, forbidden".into()),
                };
                let fates = &mut self.node(name).fates;
                fates
                    .entry((*request).to_owned())
                    .or_default()
                    .push_back(fate);
            }
            ["arrives"] => {
                self.arrive(name);
                self.run();
            }
            // The last task of its handlers is gone.
            ["is", "through", "with", part] => {
                let part = part.parse().map_err(|_| "a number")?;
                self.part_gone(name, GroupPart(part));
                self.run();
            }
            _ => return Err("no such command of a node".into()),
        }
        Ok(())
    }
}
