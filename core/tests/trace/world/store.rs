//! What becomes of requests and works on their way, and what befalls the store.

use super::place::{event_stream, namespace};
use super::{Fate, Job, Task, World};
use crate::show::Class;
use tenure_core::id::{OpId, Sequence, Slot};
use tenure_core::log::{Base, FoldError, Input, Ran, Work};
use tenure_core::port::{Message, Refused, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::Outcome;

impl World {
    pub(super) fn serve(&mut self, job: Job) {
        let Job {
            node,
            op,
            task,
            released,
        } = job;
        let class = match &task {
            Task::Store(request) => Class::of(request),
            Task::Work(_) => Class::Host,
            Task::Dispatch(_) => Class::Dispatch,
            Task::Wall => {
                let wall = self.wall();
                return self.step(&node, Input::Wall(wall));
            }
            Task::Delivered(delivery) => {
                let delivery = delivery.clone();
                self.line(&node, '<', &format!("{op:?} {delivery:?}"));
                return self.step(&node, Input::Dispatched { op, delivery });
            }
        };
        let snapshots = match &task {
            Task::Work(work) => is_of_snapshots(work),
            Task::Store(_) | Task::Dispatch(_) | Task::Wall | Task::Delivered(_) => false,
        };
        let fault = self.faults.iter().position(|(n, c, fate)| {
            (n.as_str(), *c) == (node.as_str(), class)
                && !released
                && (*fate != Fate::Fails || snapshots)
        });
        let fate = fault.map(|place| self.faults.remove(place).2);
        match task {
            Task::Wall | Task::Delivered(_) => unreachable!("served above"),
            Task::Dispatch(dispatch) => self.deliver(&node, op, dispatch, fate),
            Task::Work(work) => match fate {
                None if self.is_busy(&node, &work) => self.held.push(Job {
                    node,
                    op,
                    task: Task::Work(work),
                    released: true,
                }),
                None => {
                    let host = self.nodes.get_mut(&node).expect("a node");
                    let (ran, text) = host.bank.run(&work);
                    self.line(&node, '.', &text);
                    self.step(&node, Input::Ran { op, ran });
                }
                Some(Fate::Fails) => {
                    // What failed is the user's code: the host settles its state all the same.
                    if matches!(work, Work::Snapshot { .. }) {
                        let host = self.nodes.get_mut(&node).expect("a node");
                        host.bank.run(&work);
                    }
                    let ran = match work {
                        Work::Fold { .. } => Ran::Folded(Err(FoldError::Snapshot {
                            cause: "restore panicked".to_owned(),
                        })),
                        Work::Snapshot { .. }
                        | Work::Decide { .. }
                        | Work::Fire { .. }
                        | Work::Answer { .. } => {
                            Ran::Snapshotted(Err("snapshot panicked".to_owned()))
                        }
                    };
                    self.line(&node, 'x', &format!("the host fails at {op:?}"));
                    self.step(&node, Input::Ran { op, ran });
                }
                Some(fate) => {
                    assert_eq!(fate, Fate::Held, "the host can only be slow or fail");
                    self.line(&node, 'x', &format!("the host is slow with {op:?}"));
                    self.held.push(Job {
                        node,
                        op,
                        task: Task::Work(work),
                        released: true,
                    });
                }
            },
            Task::Store(request) => self.store_answers(&node, op, request, fate),
        }
    }

    /// Whether a node's host is slow with an earlier work of an entity: it does one after the other.
    fn is_busy(&self, node: &str, work: &Work) -> bool {
        let held = self.held.iter().filter(|job| job.node == node);
        let mut earlier = held.filter_map(|job| match &job.task {
            Task::Work(earlier) => Some(slot_of(earlier)),
            Task::Store(_) | Task::Wall | Task::Dispatch(_) | Task::Delivered(_) => None,
        });
        earlier.any(|slot| slot == slot_of(work))
    }

    pub(super) fn store_answers(
        &mut self,
        node: &str,
        op: OpId,
        request: StoreRequest,
        fate: Option<Fate>,
    ) {
        let at = self.wall();
        let job = |request| Job {
            node: node.to_owned(),
            op,
            task: Task::Store(request),
            released: true,
        };
        let reply = match fate {
            None => self.apply(&request),
            Some(Fate::Held) => {
                self.line(node, 'x', &format!("{op:?} is held up"));
                self.held.push(job(request));
                return;
            }
            Some(Fate::Slow) => {
                let reply = self.apply(&request);
                let answer = self.names.answer(&reply);
                self.line(node, 'x', &format!("{op:?} {answer}; the answer is slow"));
                self.slow.push((node.to_owned(), op, reply));
                return;
            }
            Some(Fate::AnswerLost) => {
                let answer = self.apply(&request);
                let answer = self.names.answer(&answer);
                self.line(node, 'x', &format!("{op:?} {answer}; the answer is lost"));
                Outcome::Unknown
            }
            Some(Fate::Lost) => {
                self.line(node, 'x', &format!("{op:?} is lost on the way"));
                Outcome::Unknown
            }
            Some(Fate::Late) => {
                self.line(node, 'x', &format!("{op:?} is late and given up"));
                self.late.push(job(request));
                Outcome::Unknown
            }
            Some(Fate::LateRefused(refused)) => {
                self.line(node, 'x', &format!("{op:?} is late for a successor"));
                self.late.push(job(request));
                Outcome::Refused(refused)
            }
            Some(Fate::Refused(refused)) => Outcome::Refused(refused),
            Some(Fate::Heard(refused)) => {
                let answer = self.apply(&request);
                let answer = self.names.answer(&answer);
                self.line(node, 'x', &format!("{op:?} {answer}, by a successor"));
                Outcome::Refused(refused)
            }
            Some(Fate::Stale(up_to)) => {
                let text = format!("{op:?} meets a server that knows the stream up to {up_to:?}");
                self.line(node, 'x', &text);
                self.store.answer_as_of(at, up_to, &request)
            }
            Some(Fate::Corrupt) => {
                self.line(node, 'x', &format!("{op:?} brings a wrong byte"));
                corrupted(self.apply(&request))
            }
            Some(Fate::Fails) => panic!("only the host fails"),
        };
        let text = self.names.answer(&reply);
        self.line(node, '<', &format!("{op:?} {text}"));
        self.step(node, Input::Stored { op, reply });
    }

    pub(super) fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        if let StoreRequest::Get { sequence, .. } = request
            && self.vanished.contains(sequence)
        {
            return Outcome::Refused(Refused::NotFound);
        }
        if self.store.next_expiry().is_some_and(|at| at <= self.wall()) {
            self.store.expire(self.wall());
        }
        self.store.apply(self.wall(), request)
    }

    pub(crate) fn fault(&mut self, node: &str, class: Class, fate: Fate) {
        self.faults.push((node.to_owned(), class, fate));
    }

    /// What was held up goes on.
    pub(crate) fn release(&mut self, node: &str) {
        let held = std::mem::take(&mut self.held);
        let (mine, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|job| job.node == node);
        self.held = rest;
        // They are older than what is on its way.
        let since = std::mem::replace(&mut self.jobs, mine.into());
        self.jobs.extend(since);
        let slow = std::mem::take(&mut self.slow);
        let (mine, rest): (Vec<_>, Vec<_>) = slow.into_iter().partition(|(name, ..)| name == node);
        self.slow = rest;
        for (_, op, reply) in mine {
            let text = self.names.answer(&reply);
            self.line(node, '<', &format!("{op:?} {text}"));
            self.step(node, Input::Stored { op, reply });
        }
    }

    /// Nothing goes wrong any more: what was held up goes on, and everybody is there.
    #[allow(dead_code, reason = "stories end what goes wrong one by one")]
    pub(crate) fn heal(&mut self) {
        self.faults.clear();
        self.away.clear();
        for node in self.setup.nodes.clone() {
            self.release(&node);
            self.arrive_late(&node);
        }
    }

    /// What was late arrives.
    pub(crate) fn arrive_late(&mut self, node: &str) {
        let late = std::mem::take(&mut self.late);
        let (mine, rest): (Vec<_>, Vec<_>) = late.into_iter().partition(|job| job.node == node);
        self.late = rest;
        for job in mine {
            if let Task::Store(request) = &job.task {
                let reply = self.apply(request);
                let text = self.names.answer(&reply);
                self.line(node, 'x', &format!("{:?} arrives at last: {text}", job.op));
            }
        }
    }

    /// What is asked of the store and not answered.
    pub(crate) fn in_flight(&mut self) {
        let jobs: Vec<_> = self.held.iter().chain(&self.jobs).cloned().collect();
        for job in jobs {
            if let Task::Store(request) = &job.task {
                let text = self.names.request(request).join("\n  ");
                self.say(format!("in flight: {} {:?} {text}", job.node, job.op));
            }
        }
    }

    pub(crate) fn lose_tail(&mut self, keep_up_to: Sequence) {
        self.damaged = true;
        self.store.lose_tail(&event_stream(), keep_up_to);
    }

    /// The stream of snapshots is lost.
    pub(crate) fn lose_bodies(&mut self) {
        let stream = namespace().snapshot_stream();
        self.store.lose_tail(&stream, Sequence::NONE);
    }

    pub(crate) fn vanish(&mut self, sequence: Sequence) {
        self.damaged = true;
        self.vanished.insert(sequence);
    }
}

/// Whose work it is.
fn slot_of(work: &Work) -> Slot {
    match work {
        Work::Fold { slot, .. }
        | Work::Decide { slot, .. }
        | Work::Fire { slot, .. }
        | Work::Answer { slot, .. }
        | Work::Snapshot { slot, .. } => *slot,
    }
}

/// Whether the user's code for snapshots runs in a work.
fn is_of_snapshots(work: &Work) -> bool {
    match work {
        Work::Snapshot { .. } => true,
        Work::Fold { base, .. } => matches!(base, Base::Snapshot(_)),
        Work::Decide { .. } | Work::Fire { .. } | Work::Answer { .. } => false,
    }
}

fn corrupted(reply: StoreReply) -> StoreReply {
    let wrong = |message: Message| {
        let mut bytes = message.payload.to_vec();
        if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        Message {
            payload: bytes.into(),
            ..message
        }
    };
    reply.map(|done| match done {
        StoreDone::Message(message) => StoreDone::Message(wrong(message)),
        StoreDone::Latest(mut proof) => {
            proof.messages = proof.messages.into_iter().map(wrong).collect();
            StoreDone::Latest(proof)
        }
        StoreDone::Page(mut page) => {
            page.messages = page.messages.into_iter().map(wrong).collect();
            StoreDone::Page(page)
        }
        done @ (StoreDone::Published(_)
        | StoreDone::Stream(_)
        | StoreDone::Capabilities(_)
        | StoreDone::Consumer(_)
        | StoreDone::Fetched(_)
        | StoreDone::Closed) => done,
    })
}
