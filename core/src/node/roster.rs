//! The others: what their records said last, and which runs are over (M4).

use super::View;
use super::hint::{FIRST_PROBE, Suspicion};
use super::view::{Peer, PeerState, Role, Standing};
use super::{About, Note};
use crate::format::{Member, MemberState};
use crate::id::{Incarnation, Sequence};
use crate::lease::{Terms, Watch};
use crate::name::NodeName;
use crate::step::Time;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Runs that are over and kept in mind; an older one is unknown again.
const OVER_MAX: usize = 1_024;

/// Names that are kept in mind, of nodes that live and that were.
const KNOWN_MAX: usize = 2_000;

/// What is known of the other nodes.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Roster {
    pub(super) known: BTreeMap<NodeName, Known>,
    lingering: BTreeMap<Incarnation, Lingers>,
    /// Those of them that are over, the oldest first.
    over: VecDeque<Incarnation>,
    /// The highest sequence of the membership stream that was read or acknowledged.
    pub(super) mark: Sequence,
    /// Since when the store takes heartbeats and the link is up: what was not heard before speaks
    /// against nobody.
    pub(super) steady: Time,
}

/// What is known of one name.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Known {
    /// Its last record.
    pub(super) watch: Watch,
    /// The run that has it; `None`: it left, or is over.
    pub(super) run: Option<Run>,
}

/// A run that lives, as far as is known.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Run {
    pub(super) incarnation: Incarnation,
    pub(super) about: About,
    pub(super) state: PeerState,
    pub(super) terms: Terms,
    pub(super) beats: u64,
    pub(super) marks: Vec<Sequence>,
    /// It was seen to write its record again.
    pub(super) renewed: bool,
    /// Its record is gone: it is replaced on the condition that there is none.
    pub(super) absent: bool,
    pub(super) suspicion: Suspicion,
    /// When it is asked next whether it is there.
    pub(super) probe_at: Time,
    /// When its tombstone is written, once its time is over.
    pub(super) bury_at: Option<Time>,
}

/// Whether a run that is no peer any more may act still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Lingers {
    /// Its lease may last until then.
    Until(Time),
    /// It is over.
    Over,
}

/// A node with other terms of leases.
#[derive(Debug)]
pub(super) struct OtherTerms<'a> {
    pub(super) name: &'a NodeName,
    pub(super) terms: Terms,
    pub(super) watch: Watch,
    pub(super) renewed: bool,
}

/// What a record changed.
#[derive(Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Change {
    /// The view may be another.
    pub(super) dirty: bool,
    pub(super) notes: Vec<Note>,
}

impl Roster {
    pub(super) fn new(now: Time) -> Self {
        Self {
            known: BTreeMap::new(),
            lingering: BTreeMap::new(),
            over: VecDeque::new(),
            mark: Sequence::NONE,
            steady: now,
        }
    }

    /// Whether a record is older than one of its name that was received before a time.
    pub(super) fn is_low(&self, name: &NodeName, sequence: Sequence, before: Time) -> bool {
        let known = self.known.get(name).map(|known| known.watch);
        known.is_some_and(|it| sequence < it.revision() && it.since() < before)
    }

    /// A record of another name was received.
    pub(super) fn observe(
        &mut self,
        name: &NodeName,
        sequence: Sequence,
        member: Member,
        mine: Terms,
        now: Time,
    ) -> Change {
        let mut change = Change::default();
        let room = self.known.len() < KNOWN_MAX;
        let before = match self.known.get_mut(name) {
            Some(known) if sequence <= known.watch.revision() => {
                if let Some(run) = known
                    .run
                    .as_mut()
                    .filter(|_| sequence == known.watch.revision())
                {
                    run.absent = false;
                }
                return change;
            }
            Some(known) => Some((known.watch, known.run.take())),
            None if room => None,
            None => return change,
        };
        let watch = Watch::new(sequence, now);
        let lives = member.state.lives();
        let same = match before {
            Some((_, Some(run))) if lives && run.incarnation == member.incarnation => Some(run),
            Some((watch, Some(run))) => {
                self.succeeded(&run, watch, &member, mine, now);
                change.dirty = true;
                None
            }
            Some((_, None)) | None => None,
        };
        for replaced in &member.replaced {
            let over_at = now + mine.widest(replaced.terms).watch();
            self.linger(replaced.incarnation, Lingers::Until(over_at));
        }
        let incarnation = member.incarnation;
        let run = match (member.state, same) {
            (MemberState::Up | MemberState::Draining, Some(mut run)) => {
                let state = peer_state(member.state);
                change.dirty |= run.suspicion.clear();
                change.dirty |= run.about != member.about || run.state != state;
                run.renewed = true;
                run.absent = false;
                run.bury_at = None;
                Some(Run {
                    about: member.about,
                    state,
                    terms: member.terms,
                    beats: member.beats,
                    marks: member.marks,
                    ..run
                })
            }
            (MemberState::Up | MemberState::Draining, None) => {
                change.dirty = true;
                change.notes.push(Note::Joined(name.clone(), incarnation));
                if member.terms != mine {
                    change.notes.push(Note::OtherTerms(name.clone()));
                }
                Some(Run {
                    incarnation,
                    state: peer_state(member.state),
                    about: member.about,
                    terms: member.terms,
                    beats: member.beats,
                    marks: member.marks,
                    renewed: false,
                    absent: false,
                    suspicion: Suspicion::default(),
                    probe_at: now + FIRST_PROBE,
                    bury_at: None,
                })
            }
            (MemberState::Left, _) => {
                self.linger(incarnation, Lingers::Over);
                change.dirty = true;
                change.notes.push(Note::Left(name.clone(), incarnation));
                None
            }
            (MemberState::Over { .. }, _) => {
                self.linger(incarnation, Lingers::Over);
                change.dirty = true;
                change.notes.push(Note::Over(name.clone(), incarnation));
                None
            }
        };
        self.known.insert(name.clone(), Known { watch, run });
        change
    }

    /// A run's record was replaced by that of another run: is its lease over?
    fn succeeded(&mut self, run: &Run, watch: Watch, by: &Member, mine: Terms, now: Time) {
        let terms = mine.widest(run.terms);
        let listed = by
            .replaced
            .iter()
            .find(|r| r.incarnation == run.incarnation);
        let lingers = match listed {
            // Exactly what was seen last was replaced.
            Some(replaced) if replaced.revision == watch.revision() => {
                Lingers::Until(watch.over_at(&terms))
            }
            Some(_) => Lingers::Until(now + terms.watch()),
            // Whoever has the name now knew that it was free.
            None => Lingers::Over,
        };
        self.linger(run.incarnation, lingers);
    }

    /// A run is no peer any more. What was known of it stays, unless it is over now.
    pub(super) fn linger(&mut self, incarnation: Incarnation, lingers: Lingers) {
        match (self.lingering.get(&incarnation), lingers) {
            (Some(Lingers::Over), _) | (Some(Lingers::Until(_)), Lingers::Until(_)) => {}
            (None, Lingers::Until(_)) => {
                self.lingering.insert(incarnation, lingers);
            }
            (Some(Lingers::Until(_)) | None, Lingers::Over) => {
                self.lingering.insert(incarnation, Lingers::Over);
                self.over.push_back(incarnation);
                if self.over.len() > OVER_MAX
                    && let Some(oldest) = self.over.pop_front()
                {
                    self.lingering.remove(&oldest);
                }
            }
        }
    }

    /// Ends the waits that are over; whether there were any.
    pub(super) fn linger_on(&mut self, now: Time) -> bool {
        let ends = |lingers: &Lingers| matches!(lingers, Lingers::Until(at) if *at <= now);
        let ended = self.lingering.iter().filter(|(_, lingers)| ends(lingers));
        let ended: Vec<Incarnation> = ended.map(|(incarnation, _)| *incarnation).collect();
        for incarnation in &ended {
            self.linger(*incarnation, Lingers::Over);
        }
        !ended.is_empty()
    }

    pub(super) fn linger_at(&self) -> Option<Time> {
        let at = |lingers: &Lingers| match lingers {
            Lingers::Until(at) => Some(*at),
            Lingers::Over => None,
        };
        self.lingering.values().filter_map(at).min()
    }

    /// A proven list lacks a name.
    pub(super) fn absent(&mut self, present: impl Fn(&NodeName) -> bool) {
        self.known.retain(|name, known| match &mut known.run {
            _ if present(name) => true,
            Some(run) => {
                run.absent = true;
                true
            }
            None => false,
        });
    }

    /// The stream was shorter than it was: its sequences mean nothing any more.
    pub(super) fn forget_revisions(&mut self, now: Time) {
        self.mark = Sequence::NONE;
        self.steady = now;
        self.known.retain(|_, known| {
            known.watch = Watch::new(Sequence::NONE, now);
            known.run.is_some()
        });
    }

    /// The runs that live, as far as is known.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&NodeName, Watch, &Run)> {
        let known = self.known.iter();
        known.filter_map(|(name, known)| Some((name, known.watch, known.run.as_ref()?)))
    }

    pub(super) fn runs_mut(&mut self) -> impl Iterator<Item = (&NodeName, Watch, &mut Run)> {
        let known = self.known.iter_mut();
        known.filter_map(|(name, known)| Some((name, known.watch, known.run.as_mut()?)))
    }

    pub(super) fn living(&self) -> usize {
        self.runs().count()
    }

    /// A node that counts its lease by other terms; one that was seen to live first.
    pub(super) fn other_terms(&self, mine: Terms) -> Option<OtherTerms<'_>> {
        let others = self.runs().filter(|(_, _, run)| run.terms != mine);
        let others = others.map(|(name, watch, run)| OtherTerms {
            name,
            terms: run.terms,
            watch,
            renewed: run.renewed,
        });
        let over_at = |other: &OtherTerms<'_>| other.watch.over_at(&mine.widest(other.terms));
        others.max_by_key(|other| (other.renewed, over_at(other)))
    }

    /// What is to be noted of a node that serves other kinds than this one, if it owns shards.
    pub(super) fn other_kinds(&self, name: &NodeName, mine: &About) -> Option<Note> {
        let run = self.known.get(name)?.run.as_ref()?;
        if run.about.role != Role::Owner {
            return None;
        }
        let lacks = mine.kinds_beyond(&run.about);
        let beyond = match mine.role {
            Role::Owner => run.about.kinds_beyond(mine),
            // Nobody asks it.
            Role::Client => Vec::new(),
        };
        let differ = !lacks.is_empty() || !beyond.is_empty();
        let name = name.clone();
        differ.then_some(Note::OtherKinds {
            name,
            lacks,
            beyond,
        })
    }

    /// Forgets what speaks against the others; whether anything did.
    pub(super) fn clear_suspicions(&mut self) -> bool {
        let runs = self.runs_mut();
        runs.fold(false, |any, (_, _, run)| run.suspicion.clear() | any)
    }

    /// The highest of all marks, by event stream.
    pub(super) fn marks(&self) -> Vec<Sequence> {
        let mut highest = Vec::new();
        for (_, _, run) in self.runs() {
            if highest.len() < run.marks.len() {
                highest.resize(run.marks.len(), Sequence::NONE);
            }
            for (highest, mark) in highest.iter_mut().zip(&run.marks) {
                *highest = (*highest).max(*mark);
            }
        }
        highest
    }

    /// How many of the other owners look gone, and how many there are.
    pub(super) fn looks_gone(&self) -> (usize, usize) {
        let owners = self
            .runs()
            .filter(|(_, _, run)| run.about.role == Role::Owner);
        owners.fold((0, 0), |(gone, all), (_, _, run)| {
            (gone + usize::from(run.suspicion.open()), all + 1)
        })
    }

    /// The others, as a view has them.
    pub(super) fn view(&self) -> View {
        let peers = self.runs().map(|(name, _, run)| {
            let standing = match run.suspicion.sure() {
                true => Standing::Hinted,
                false => Standing::Living,
            };
            let peer = Peer {
                incarnation: run.incarnation,
                about: run.about.clone(),
                state: run.state,
                standing,
            };
            (name.clone(), peer)
        });
        let lingering = self.lingering.iter().map(|(incarnation, lingers)| {
            let standing = match lingers {
                Lingers::Until(_) => Standing::Hinted,
                Lingers::Over => Standing::Over,
            };
            (*incarnation, standing)
        });
        View {
            revision: 0,
            listed: 0,
            peers: peers.collect(),
            lingering: lingering.collect(),
        }
    }
}

fn peer_state(state: MemberState) -> PeerState {
    match state {
        MemberState::Draining => PeerState::Draining,
        MemberState::Up | MemberState::Left | MemberState::Over { .. } => PeerState::Up,
    }
}
