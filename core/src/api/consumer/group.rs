//! A consumer that several nodes of a cluster run, each some partitions of it.

use super::builder::Made;
use super::handle::error_of;
use super::running::Runs;
use super::{ConsumerBuilder, ConsumerError, ConsumerHandle, GroupLetters, GroupOrderError};
use crate::api::Tenure;
use crate::consumer::group::{GroupOrder, GroupState};
use crate::consumer::{Lag, StallReason, Start, State, Status};
use crate::driver::consumer::Ended;
use crate::driver::group::{GroupFailure, GroupTold};
use crate::id::GroupPart;
use crate::name::ConsumerName;
use crate::step::Time;
use futures_util::FutureExt;
use futures_util::future::select_all;
use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::watch;

/// How a consumer is divided over the nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub(super) partitions: u16,
}

impl Group {
    /// So many partitions, 1 to the smaller of 256 and the number of shards. It is part of the name for
    /// good: a partition has some of the shards, and is on one node at a time. A node's share is drawn, so
    /// some ten for each node make for a fair one.
    #[must_use]
    pub const fn partitions(partitions: u16) -> Self {
        Self { partitions }
    }
}

/// A group that is being defined; see [`ConsumerBuilder::grouped`].
#[derive(Debug)]
#[must_use = "a group runs when it is started"]
pub struct GroupBuilder {
    pub(super) consumer: ConsumerBuilder,
    pub(super) group: Group,
}

impl GroupBuilder {
    /// Starts this node's part in the group, and returns when the group is what it is to be: the node
    /// takes its share of the partitions from then on, each when it is free. It runs until it is stopped
    /// or the node is, with or without the handle.
    ///
    /// All nodes that run the group give it the same filter and number of partitions, and handlers that
    /// do the same. At a hand-over an event may be handed over by both nodes, first by the one and then
    /// by the other; at no time by both (P3), and no checkpoint of the former is stored once the latter
    /// began (P6).
    ///
    /// Cancel safe: what was begun runs without a handle then.
    ///
    /// # Errors
    ///
    /// When the node is in no cluster, the name is another's, it has no handler, it is to be reset, a kind
    /// cannot be used, or the store is not there.
    pub async fn start(self) -> Result<GroupHandle, ConsumerError> {
        let Self { consumer, group } = self;
        let Made {
            tenure,
            definition,
            pace,
            reset,
            host,
            timeout,
        } = consumer.make().await?;
        let name = definition.name.clone();
        if reset.is_some() {
            let name = name.to_string();
            return Err(ConsumerError::GroupReset { name });
        }
        let handle = &tenure.inner.handle;
        let deadline = handle.now() + timeout;
        let what = (definition, group.partitions);
        let begun = handle.group(what, pace, host, deadline).await;
        let (lane, number, told) = begun.map_err(|failure| match failure {
            GroupFailure::Fault(fault) => ConsumerError::Fault(*fault),
            GroupFailure::NotSent(not_sent) => not_sent.into(),
            GroupFailure::NoCluster => ConsumerError::NoCluster {
                name: name.to_string(),
            },
        })?;
        tenure.inner.running.begun(&name, Runs::Group(told.clone()));
        let this = GroupHandle {
            tenure,
            name,
            partitions: group.partitions,
            lane,
            number,
            told,
        };
        let started = |status: &GroupStatus| status.state != GroupState::Starting;
        if this.until(Some(deadline), started).await? {
            return Ok(this);
        }
        let Some(waits_for) = this.status().waits_for else {
            // It began at the last moment.
            return Ok(this);
        };
        this.leave().await?;
        let name = this.name.to_string();
        Err(ConsumerError::Timeout { name, waits_for })
    }
}

/// This node's part in a group. Clones are handles of the same one; it runs on without any, until it is
/// stopped or its node is.
///
/// What it is told ([`pause`](Self::pause), [`resume`](Self::resume), [`rewind`](Self::rewind)) is told the
/// group as a whole, and stored: every node follows when it reads it, within some six seconds
/// ([`Limits::owners_reread`](crate::step::Limits::owners_reread)), and who takes part later does so too.
///
/// ```
/// use tenure_core::api::consumer::{ConsumerError, Consumed, Group};
/// # use tenure_core::api::*;
/// # #[derive(Clone, Default)] struct Account;
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: u64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, _: &AccountEvent) {}
/// # }
/// # async fn example(tenure: Tenure) -> Result<(), ConsumerError> {
/// let mailer = tenure
///     .consumer("mailer")
///     .kind::<Account>(|event: Consumed<AccountEvent>| async move {
///         println!("a mail about {}", event.id());
///     })
///     .grouped(Group::partitions(16))
///     .start()
///     .await?;
/// mailer.live().await?;
/// println!("here: {:?}", mailer.held());
/// mailer.stop().await?; // the others go on with these
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GroupHandle {
    tenure: Tenure,
    name: ConsumerName,
    partitions: u16,
    lane: usize,
    number: u64,
    told: watch::Receiver<GroupTold>,
}

/// How a node's part in a group stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupStatus {
    /// What it does.
    pub state: GroupState,
    /// The nodes that take partitions, as far as this one knows.
    pub members: Vec<String>,
    /// Each partition, by its number.
    pub partitions: Vec<PartitionStatus>,
    /// What is not handled of the partitions that this node runs.
    pub lag: Lag,
    /// Who has the group paused, as far as this node has read.
    pub paused: Option<String>,
    /// The how manieth life of the group it is, from 1, as far as this node has read: a rewind begins the
    /// next one.
    pub life: u64,
    /// What this node's part waits for at this moment, while it starts.
    pub waits_for: Option<StallReason>,
}

/// One partition as a node sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// Which one.
    pub part: GroupPart,
    /// The node that owned it when that was looked at last, as every node does every few seconds.
    pub owner: Option<String>,
    /// The node that it falls to, as far as this one knows; it goes there as soon as it may.
    pub best: Option<String>,
    /// Whether that is this node.
    pub mine: bool,
    /// How its consumer stands, where this node runs it.
    pub here: Option<Status>,
    /// Why its consumer on this node ended by itself, in words: it stands until the partition goes to
    /// another node, or this node's part in the group is started again.
    pub ended: Option<String>,
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl GroupHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The partitions that this node runs now.
    pub fn held(&self) -> Vec<GroupPart> {
        let told = self.told.borrow();
        let parts = (0..).zip(&told.status.partitions);
        let held = parts.filter(|(_, part)| part.held);
        held.map(|(part, _)| GroupPart(part)).collect()
    }

    /// How it stands: what it does, who takes part, and each partition with its lag, where it is here.
    pub fn status(&self) -> GroupStatus {
        let told = self.told.borrow();
        let (status, held) = (&told.status, &told.held);
        let me = self.tenure.inner.handle.node();
        let mut lag = Lag::default();
        let parts = (0..).map(GroupPart).zip(&status.partitions);
        let parts = parts.map(|(part, known)| {
            let told = held.get(&part).map(|held| held.told.borrow());
            let here = told.as_ref().filter(|_| known.held);
            if let Some(told) = here {
                let of = &told.status.lag;
                lag.commits += of.commits;
                lag.events += of.events;
                lag.oldest = [lag.oldest, of.oldest].into_iter().flatten().min();
                lag.age = lag.age.max(of.age);
            }
            let ended = told.as_ref().and_then(|told| told.ended.clone());
            PartitionStatus {
                part,
                owner: known.owner.clone(),
                best: known.best.as_ref().map(ToString::to_string),
                mine: known.best.as_ref().is_some_and(|best| best.as_str() == me),
                here: here.map(|told| told.status.clone()),
                ended: ended.map(|ended| error_of(Some(ended)).to_string()),
            }
        });
        let partitions = parts.collect();
        GroupStatus {
            state: status.state,
            members: status.members.iter().map(ToString::to_string).collect(),
            partitions,
            lag,
            paused: status.paused.clone(),
            life: status.life,
            waits_for: status.waits_for.clone(),
        }
    }

    /// Waits until this node takes part, and all partitions that fall to it are here and have caught up;
    /// returns at once when it is so already.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When this node's part in the group ends before.
    pub async fn live(&self) -> Result<(), ConsumerError> {
        let live = |part: &PartitionStatus| {
            let here = part.here.as_ref();
            here.is_some_and(|status| status.state == State::Live)
        };
        let me = self.tenure.inner.handle.node().to_owned();
        let ended = |status: &GroupStatus| {
            let mut mine = status.partitions.iter().filter(|part| part.mine);
            mine.find_map(|part| Some((part.part, part.ended.clone()?)))
        };
        let all = move |status: &GroupStatus| {
            let mut mine = status.partitions.iter().filter(|part| part.mine);
            ended(status).is_some() || (status.members.contains(&me) && mine.all(live))
        };
        self.until(None, all).await?;
        match ended(&self.status()) {
            None => Ok(()),
            Some((part, why)) => Err(ConsumerError::GroupPart {
                name: self.name.to_string(),
                part,
                why,
            }),
        }
    }

    /// Waits until its status is as is wished.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When this node's part in the group ends before.
    pub async fn until_status(
        &self,
        wished: impl Fn(&GroupStatus) -> bool,
    ) -> Result<(), ConsumerError> {
        self.until(None, wished).await.map(drop)
    }

    /// Waits until this node's part in the group ends.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended it, when it was not [`stop`](Self::stop).
    pub async fn ended(&self) -> Result<(), ConsumerError> {
        let mut told = self.told.clone();
        // Without a sender the lane is gone, and so is the group.
        let ended = told.wait_for(|told| told.ended.is_some()).await;
        match ended.ok().and_then(|told| told.ended.clone()) {
            Some(Ended::Stopped { .. }) => Ok(()),
            other => Err(error_of(other)),
        }
    }

    /// Has the whole group hand nothing over until it is [resumed](Self::resume), on whatever node; what
    /// handlers have they end. `by` says who wants it, for people; of two who do the first one stands.
    ///
    /// Returns when that is stored: this node follows at once, the others when they read it.
    ///
    /// Cancel safe: the group is told all the same.
    ///
    /// # Errors
    ///
    /// When it is not known whether that is stored, or this node takes no part in the group.
    pub async fn pause(&self, by: impl Into<String>) -> Result<(), GroupOrderError> {
        let by = by.into();
        self.tell(GroupOrder::Pause { by }).await.map(drop)
    }

    /// Has the whole group go on, as [`pause`](Self::pause) has it stop.
    ///
    /// # Errors
    ///
    /// As of [`pause`](Self::pause).
    pub async fn resume(&self) -> Result<(), GroupOrderError> {
        self.tell(GroupOrder::Resume).await.map(drop)
    }

    /// Has the whole group go on from another place, in its next life, whose number is returned. Each
    /// partition ends what its handlers have, for
    /// [`Limits::hand_over_patience`](crate::step::Limits::hand_over_patience) at most, and begins there; one
    /// that has no owner now begins there when it has one, and one that stands over an event begins anew.
    /// Events between the two places come again, or never.
    ///
    /// Returns when that is stored, as [`pause`](Self::pause) does.
    ///
    /// # Errors
    ///
    /// When the place is past the end of the log, or there is not one for each stream; the group goes on as
    /// before. As of [`pause`](Self::pause).
    pub async fn rewind(&self, to: Start) -> Result<u64, GroupOrderError> {
        self.tell(GroupOrder::Rewind(to)).await
    }

    /// Has the whole group go back to the first event ([`rewind`](Self::rewind)).
    ///
    /// # Errors
    ///
    /// As of [`rewind`](Self::rewind).
    pub async fn rebuild(&self) -> Result<u64, GroupOrderError> {
        self.rewind(Start::Beginning).await
    }

    async fn tell(&self, order: GroupOrder) -> Result<u64, GroupOrderError> {
        let inner = &self.tenure.inner;
        let deadline = inner.handle.now() + inner.timeout;
        let telling = inner
            .handle
            .order_group((self.lane, self.number), order, deadline);
        tokio::select! {
            biased;
            told = telling => match told {
                Ok(told) => Ok(told?),
                Err(_) if self.is_over() => Err(self.error_now().into()),
                Err(not_sent) => Err(ConsumerError::from(not_sent).into()),
            },
            () = inner.handle.sleep_until(deadline) => Err(GroupOrderError::Timeout),
        }
    }

    /// Hands over what this node has of the group, and takes no more of it: handlers end what they have,
    /// at most for the node's `stop_timeout`, the checkpoints are stored, and the others go on. While the
    /// store does not answer nothing acts either, and this waits for it.
    ///
    /// Cancel safe: it stops all the same.
    ///
    /// # Errors
    ///
    /// When it had ended with an error before, or does so now.
    pub async fn stop(&self) -> Result<(), ConsumerError> {
        self.leave().await?;
        self.ended().await
    }

    /// The events that the group put aside, on whichever node.
    pub fn dead_letters(&self) -> GroupLetters<'_> {
        GroupLetters { group: self }
    }

    async fn leave(&self) -> Result<(), ConsumerError> {
        let inner = &self.tenure.inner;
        let now = inner.handle.now();
        let (until, deadline) = (now + inner.stop_timeout, now + inner.timeout);
        let told = inner
            .handle
            .leave_group((self.lane, self.number), until, deadline);
        Ok(told.await?)
    }

    /// Why it does not run, if it does not.
    pub(super) fn error_now(&self) -> ConsumerError {
        error_of(self.told.borrow().ended.clone())
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.told.borrow().ended.is_some()
    }

    /// The consumers of the partitions that this node runs.
    pub(super) fn consumers(&self) -> BTreeMap<GroupPart, ConsumerHandle> {
        let told = self.told.borrow();
        let running = told.held.iter();
        let running = running.filter(|(_, held)| held.told.borrow().ended.is_none());
        let handle = |(part, held): (&GroupPart, &crate::driver::group::HeldPart)| {
            let consumer = ConsumerHandle {
                tenure: self.tenure.clone(),
                name: self.name.clone(),
                lane: self.lane,
                number: held.number,
                told: held.told.clone(),
            };
            (*part, consumer)
        };
        running.map(handle).collect()
    }

    /// How many partitions it has.
    pub(super) fn partitions(&self) -> u16 {
        self.partitions
    }

    /// Waits until the status is as wished; `false` when the deadline was first.
    async fn until(
        &self,
        deadline: Option<Time>,
        wished: impl Fn(&GroupStatus) -> bool,
    ) -> Result<bool, ConsumerError> {
        let mut told = self.told.clone();
        loop {
            let (mut held, ended) = {
                let told = told.borrow_and_update();
                let held: Vec<_> = told.held.values().map(|held| held.told.clone()).collect();
                (held, told.ended.clone())
            };
            // What changes after it is seen here wakes; one that has ended changes no more.
            held.retain_mut(|held| held.borrow_and_update().ended.is_none());
            if ended.is_some() {
                return Err(error_of(ended));
            }
            if wished(&self.status()) {
                return Ok(true);
            }
            let parts = held.iter_mut().map(|held| held.changed().map(drop).boxed());
            let parts: Vec<_> = parts.collect();
            let parts = async {
                match parts.is_empty() {
                    true => std::future::pending().await,
                    false => select_all(parts).await,
                }
            };
            let late = async {
                match deadline {
                    Some(at) => self.tenure.inner.handle.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = told.changed() => if changed.is_err() {
                    return Err(error_of(self.told.borrow().ended.clone()));
                },
                _ = parts => {}
                () = late => return Ok(false),
            }
        }
    }
}
