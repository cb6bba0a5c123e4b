//! The consumers of a namespace by their names, whoever runs them.

use super::LetterEvent;
use super::running::Runs;
use crate::api::Tenure;
use crate::api::projection::keeper::{Keeper, Undone};
use crate::consumer::{
    Erase, LetterDone, LetterRefusal, ListLetters, Listing, Named, NamedForm, NamesFault,
    OneLetter, UnreadableLetter,
};
use crate::format::{Checkpoint, DeadLetter, EventPlace, FormatError, Position};
use crate::id::{GroupPart, Incarnation, LayoutId, Sequence, WallTime};
use crate::name::{ConsumerName, NameError, Namespace};

/// Where names are listed: by the lane that a text hashes to.
const LANE: &str = "consumers";

impl Tenure {
    /// The consumers, groups, projections and durable subscriptions of this namespace, by their names,
    /// whoever runs them.
    pub fn consumers(&self) -> Consumers {
        Consumers {
            tenure: self.clone(),
        }
    }
}

/// The consumers of a namespace by their names; see [`Tenure::consumers`].
///
/// ```
/// # use tenure_core::api::Tenure;
/// # use tenure_core::api::consumer::ConsumersError;
/// # async fn example(tenure: Tenure) -> Result<(), ConsumersError> {
/// for consumer in tenure.consumers().all().await? {
///     println!("{} reads {}: {} put aside", consumer.name, consumer.reads, consumer.dead_letters);
/// }
/// tenure.consumers().forget("of-last-year").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Consumers {
    tenure: Tenure,
}

/// One consumer, group, projection or durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub form: ConsumerForm,
    /// What it reads, in words; empty where the program that made it did not say.
    pub reads: String,
    /// Up to where it has come, for each stream, as far as that is stored in the namespace; empty where it
    /// is not. Of a group see its partitions.
    pub positions: Vec<Position>,
    /// The how manieth life of it this is, from 1; 0 where it is not known.
    pub life: u64,
    /// Who has it paused: a group, or what runs on this node. A consumer's pause is not stored.
    pub paused: Option<String>,
    /// The node that wrote its record last, and ran it then; of a group the one that made it.
    pub node: Option<String>,
    /// When that was, on that node's wall clock.
    pub time: Option<WallTime>,
    /// Whether this node runs it, or takes part in it.
    pub here: bool,
    /// How many of its events are put aside.
    pub dead_letters: u64,
}

/// What has the name of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerForm {
    /// A consumer that is in no group, or a durable subscription.
    Consumer,
    /// A group of consumers.
    Group {
        /// Its partitions, by their numbers.
        partitions: Vec<PartitionInfo>,
    },
    /// A projection, or a consumer that keeps its checkpoint with its own state.
    Projection,
    /// Nothing any more: it is being forgotten, or was and something is left. Who begins under the name waits until
    /// it is forgotten again.
    Left,
    /// What cannot be read: of a newer program, or damaged.
    Unreadable {
        /// Why.
        error: FormatError,
    },
}

/// A partition of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Which one.
    pub part: GroupPart,
    /// The node that owns it by its record; none: nobody.
    pub owner: Option<String>,
    /// Up to where it has come, for each stream; empty before anybody began.
    pub positions: Vec<Position>,
    /// When its record was written, on the writer's wall clock.
    pub time: Option<WallTime>,
}

/// Why consumers are not listed, or one is not forgotten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumersError {
    /// A name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing in the namespace has the name.
    #[error(
        "no consumer, group, projection or subscription of the namespace {namespace} has the name {name:?}: list those that there are"
    )]
    Unknown {
        /// The name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// It is not forgotten while it runs.
    #[error(
        "{name} is run by {}: stop it there, or have it forgotten while it runs", .node.as_deref().unwrap_or("a node")
    )]
    Runs {
        /// The name.
        name: String,
        /// The node, where it is known.
        node: Option<String>,
    },
    /// The store refuses for good.
    #[error(transparent)]
    Store(NamesFault),
    /// The store did not answer in time.
    #[error("the store did not answer in time: look whether it is there, and ask again")]
    Timeout,
    /// The node has stopped.
    #[error("the node has stopped")]
    NodeStopped,
}

impl Consumers {
    /// All of them, in the order of their names.
    ///
    /// # Errors
    ///
    /// When the store refuses, or does not answer within the node's time-out.
    pub async fn all(&self) -> Result<Vec<ConsumerInfo>, ConsumersError> {
        let listing = Listing::of_all(self.tenure.namespace().clone());
        let found = self.listed(listing).await?;
        Ok(found.into_iter().map(|it| self.info(it)).collect())
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// [`ConsumersError::Unknown`] when nothing has the name. As [`all`](Self::all).
    pub async fn get(&self, name: impl AsRef<str>) -> Result<ConsumerInfo, ConsumersError> {
        let named = self.named(name.as_ref()).await?;
        Ok(self.info(named))
    }

    /// Forgets one: its checkpoints, its states and values in this namespace, and its dead letters; how many
    /// messages that were. A state that is elsewhere, as in SQLite, stays. Whoever begins under the name begins
    /// anew, some two seconds later at the earliest.
    ///
    /// Refused while this node runs it, while a partition of a group has an owner, and when its record is
    /// written meanwhile. A consumer that another node runs and that wrote nothing just then is not known to
    /// run: it ends when it is to store its checkpoint. A projection that another node runs goes on, and brings its
    /// state back: it is to be stopped before.
    ///
    /// Cancel safe: a name of which something is left is listed ([`ConsumerForm::Left`]), and can be forgotten
    /// again.
    ///
    /// # Errors
    ///
    /// [`ConsumersError::Unknown`] when nothing has the name, [`ConsumersError::Runs`] when it is run. As
    /// [`all`](Self::all); what was not forgotten by then can be forgotten again.
    pub async fn forget(&self, name: impl AsRef<str>) -> Result<u64, ConsumersError> {
        self.erase(name.as_ref(), false).await
    }

    /// The same whoever runs it: a consumer, or the parts of a group, end with an error when they find that
    /// their records are gone. For groups whose nodes crashed and do not come back.
    ///
    /// # Errors
    ///
    /// As [`forget`](Self::forget), but for [`ConsumersError::Runs`].
    pub async fn forget_running(&self, name: impl AsRef<str>) -> Result<u64, ConsumersError> {
        self.erase(name.as_ref(), true).await
    }

    /// The dead letters of one, without its handler.
    ///
    /// # Errors
    ///
    /// [`ConsumersError::Unknown`] when nothing has the name. As [`all`](Self::all).
    pub async fn dead_letters(
        &self,
        name: impl AsRef<str>,
    ) -> Result<LettersOfName, ConsumersError> {
        let Named { name, .. } = self.named(name.as_ref()).await?;
        Ok(LettersOfName {
            tenure: self.tenure.clone(),
            name,
        })
    }

    async fn erase(&self, name: &str, running: bool) -> Result<u64, ConsumersError> {
        let Named { name, at, form, .. } = self.named(name).await?;
        if !running && let Some(node) = self.runner(&name, &form) {
            let name = name.to_string();
            return Err(ConsumersError::Runs { name, node });
        }
        let ns = self.tenure.namespace().clone();
        let mut erase = Erase::new(ns, name.clone(), at, running);
        let keeper = Keeper::of(&self.tenure);
        let (request, answered) = (Erase::request, Erase::answered);
        let patience = Some(self.tenure.inner.timeout);
        let erasing = keeper.drive(name.as_str(), patience, &mut erase, request, answered);
        match erasing.await {
            Ok(erased) => Ok(erased),
            Err(Undone::Fault(NamesFault::Moved)) => Err(ConsumersError::Runs {
                name: name.to_string(),
                node: None,
            }),
            Err(undone) => Err(undone.into()),
        }
    }

    /// Who is known to run it.
    fn runner(&self, name: &ConsumerName, form: &NamedForm) -> Option<Option<String>> {
        let inner = &self.tenure.inner;
        if inner.running.of(name).is_some() {
            return Some(Some(inner.handle.node_name().to_owned()));
        }
        let NamedForm::Group { partitions, .. } = form else {
            return None;
        };
        let mut owners = partitions.iter().flatten().filter_map(owner);
        owners.next().map(|(_, node)| Some(node.to_owned()))
    }

    async fn named(&self, name: &str) -> Result<Named, ConsumersError> {
        let wanted = ConsumerName::new(name)?;
        let ns = self.tenure.namespace().clone();
        let found = self.listed(Listing::of_one(ns, wanted)).await?;
        let unknown = || ConsumersError::Unknown {
            name: name.to_owned(),
            namespace: self.tenure.namespace().to_string(),
        };
        found.into_iter().next().ok_or_else(unknown)
    }

    async fn listed(&self, mut listing: Listing) -> Result<Vec<Named>, ConsumersError> {
        let (request, answered) = (Listing::request, Listing::answered);
        let (keeper, patience) = (Keeper::of(&self.tenure), Some(self.tenure.inner.timeout));
        let found = keeper.drive(LANE, patience, &mut listing, request, answered);
        Ok(found.await?)
    }

    fn info(&self, named: Named) -> ConsumerInfo {
        let runs = self.tenure.inner.running.of(&named.name);
        let info = ConsumerInfo {
            name: named.name.to_string(),
            form: ConsumerForm::Left,
            reads: String::new(),
            positions: Vec::new(),
            life: 0,
            paused: runs.as_ref().and_then(Runs::paused),
            node: None,
            time: None,
            here: runs.is_some(),
            dead_letters: named.letters,
        };
        match named.form {
            NamedForm::Consumer(it) => ConsumerInfo {
                form: ConsumerForm::Consumer,
                reads: it.reads,
                positions: it.positions,
                life: it.generation,
                node: Some(it.node),
                time: Some(it.time),
                ..info
            },
            NamedForm::Group {
                record,
                orders,
                partitions,
            } => {
                let partitions = (0..).map(GroupPart).zip(&partitions);
                let partitions = partitions.map(|(part, it)| PartitionInfo::of(part, it.as_ref()));
                let partitions = partitions.collect();
                let orders = orders.map(|it| *it);
                ConsumerInfo {
                    form: ConsumerForm::Group { partitions },
                    reads: record.reads,
                    life: orders.as_ref().map_or(1, |it| it.life),
                    paused: orders.and_then(|it| it.paused),
                    node: Some(record.node),
                    time: Some(record.time),
                    ..info
                }
            }
            NamedForm::Elsewhere { record, mark } => {
                let info = ConsumerInfo {
                    form: ConsumerForm::Projection,
                    reads: record.reads,
                    node: Some(record.node),
                    time: Some(record.time),
                    ..info
                };
                match mark {
                    Some(mark) => ConsumerInfo {
                        positions: mark.positions,
                        life: mark.generation,
                        node: Some(mark.node),
                        time: Some(mark.time),
                        ..info
                    },
                    None => info,
                }
            }
            NamedForm::Left => info,
            NamedForm::Unreadable(error) => ConsumerInfo {
                form: ConsumerForm::Unreadable { error },
                ..info
            },
        }
    }
}

impl PartitionInfo {
    fn of(part: GroupPart, record: Option<&Checkpoint>) -> Self {
        Self {
            part,
            owner: record.and_then(owner).map(|(_, node)| node.to_owned()),
            positions: record.map_or_else(Vec::new, |it| it.positions.clone()),
            time: record.map(|it| it.time),
        }
    }
}

/// Who owns the partition of a record.
fn owner(record: &Checkpoint) -> Option<(Incarnation, &str)> {
    Some((record.owner?, &record.node))
}

impl From<Undone<NamesFault>> for ConsumersError {
    fn from(undone: Undone<NamesFault>) -> Self {
        match undone {
            Undone::Fault(fault) => Self::Store(fault),
            Undone::Late => Self::Timeout,
            Undone::NodeStopped => Self::NodeStopped,
        }
    }
}

/// The dead letters of a name, for who does not run its handler: to replay them it takes the consumer
/// itself ([`DeadLetters`](super::DeadLetters), [`GroupLetters`](super::GroupLetters)).
#[derive(Clone, Debug)]
pub struct LettersOfName {
    tenure: Tenure,
    name: ConsumerName,
}

/// Why a dead letter of a name was not dealt with; it is where it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamedLetterError {
    /// Why it was not.
    #[error(transparent)]
    Refused(LetterRefusal),
    /// The letters could not be told, or the store was not there.
    #[error(transparent)]
    Consumers(#[from] ConsumersError),
}

impl LettersOfName {
    /// All that can be read, by when they were put aside.
    ///
    /// # Errors
    ///
    /// When the store refuses, or does not answer within the node's time-out.
    pub async fn all(&self) -> Result<Vec<DeadLetter>, ConsumersError> {
        Ok(self.listed().await?.0)
    }

    /// Those that cannot be read: of a newer program, or damaged. They can be [removed](Self::remove).
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn unreadable(&self) -> Result<Vec<UnreadableLetter>, ConsumersError> {
        Ok(self.listed().await?.1)
    }

    async fn listed(&self) -> Result<(Vec<DeadLetter>, Vec<UnreadableLetter>), ConsumersError> {
        let (mut all, mut unreadable) = (Vec::new(), Vec::new());
        let mut after = Sequence::NONE;
        let (keeper, patience) = (Keeper::of(&self.tenure), Some(self.tenure.inner.timeout));
        let (request, answered) = (ListLetters::request, ListLetters::answered);
        loop {
            let ns = self.tenure.namespace().clone();
            let mut list = ListLetters::new(ns, self.name.clone(), after);
            let name = self.name.as_str();
            let page = keeper.drive(name, patience, &mut list, request, answered);
            let page = page.await?;
            all.extend(page.letters.into_iter().map(|(_, letter)| letter));
            unreadable.extend(page.unreadable);
            match page.more {
                Some(last) => after = last,
                None => return Ok((all, unreadable)),
            }
        }
    }

    /// The event of a letter, as it is stored.
    ///
    /// # Errors
    ///
    /// When there is no such letter, or its event is gone or cannot be read. As [`all`](Self::all).
    pub async fn look(&self, place: EventPlace) -> Result<LetterEvent, NamedLetterError> {
        let gone = || NamedLetterError::Refused(LetterRefusal::EventGone { place });
        match self.with(place, OneLetter::look).await? {
            LetterDone::Looked(looked) => super::letters::event_of(*looked, place).ok_or_else(gone),
            LetterDone::Removed => Err(gone()),
        }
    }

    /// Removes a letter; its event is not handled.
    ///
    /// # Errors
    ///
    /// When there is no such letter, or another one of the event came meanwhile. As [`all`](Self::all).
    pub async fn remove(&self, place: EventPlace) -> Result<(), NamedLetterError> {
        self.with(place, OneLetter::remove).await.map(drop)
    }

    /// Removes all that are there now; how many.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove); those before are removed.
    pub async fn remove_all(&self) -> Result<u64, NamedLetterError> {
        let (letters, unreadable) = self.listed().await?;
        let letters = letters.iter().map(|letter| letter.place);
        let unreadable = unreadable.iter().filter_map(|letter| letter.place);
        let mut removed = 0;
        for place in letters.chain(unreadable) {
            match self.remove(place).await {
                Ok(()) => removed += 1,
                // Somebody else dealt with it meanwhile.
                Err(NamedLetterError::Refused(LetterRefusal::None { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    async fn with(
        &self,
        place: EventPlace,
        what: impl FnOnce(Namespace, ConsumerName, LayoutId, EventPlace) -> OneLetter,
    ) -> Result<LetterDone, NamedLetterError> {
        let (keeper, patience) = (Keeper::of(&self.tenure), Some(self.tenure.inner.timeout));
        let (ns, layout) = (
            self.tenure.namespace().clone(),
            self.tenure.inner.handle.layout().id,
        );
        let mut one = what(ns, self.name.clone(), layout, place);
        let (request, answered) = (OneLetter::request, OneLetter::answered);
        let done = keeper.drive(self.name.as_str(), patience, &mut one, request, answered);
        done.await.map_err(|undone| match undone {
            Undone::Fault(refusal) => NamedLetterError::Refused(refusal),
            Undone::Late => ConsumersError::Timeout.into(),
            Undone::NodeStopped => ConsumersError::NodeStopped.into(),
        })
    }
}
