//! Every kind of fault by its name, with the promises that it voids.

use std::fmt;
use std::str::FromStr;

/// What is not promised any more after a fault, of what it met (DESIGN.md, promises).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Acknowledged commits that a stream came back without, and the entities that they are of.
    Kept,
    /// That of the leased class one node acts at a time: its heartbeats were lost after they were
    /// acknowledged, or a clock is beyond its bound.
    LeasedAlone,
    /// That one epoch of a shard can commit, and what rests on it: nobody removes its ownership records.
    Fenced,
    /// That one caller's messages to an actor come in their order (A3, R4), between the two nodes.
    Order,
}

impl Promise {
    /// Its name in DESIGN.md.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "P1 for what was lost",
            Self::Fenced => "P2 of the shard, and P1, P3 and P4, which rest on it",
            Self::LeasedAlone => "P3 of the leased class",
            Self::Order => "the order of messages (A3, R4)",
        }
    }
}

/// The table of faults: name, what it is, and what it voids.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident $name:literal voids [$($promise:ident)*],)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$fault),*];

            /// Its name in a repro and in probes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// What is not promised any more once it came.
            pub const fn voids(self) -> &'static [Promise] {
                match self { $(Self::$fault => &[$(Promise::$promise),*],)* }
            }
        }
    };
}

faults! {
    /// A request never reaches the store.
    LostRequest "lost-request" voids [],
    /// An answer never reaches its node.
    LostAnswer "lost-answer" voids [],
    /// The bytes of a write reach the store long after its sender gave up (K1).
    LateRequest "late-request" voids [],
    /// The bytes of a write reach the store again.
    RequestTwice "request-twice" voids [],
    /// A request or its answer takes long.
    Slow "slow" voids [],
    /// An answer comes when its node has nearly given up waiting, or just after.
    HeldAnswer "held-answer" voids [],
    /// The store refuses for now: overloaded, nobody responds, too many batches.
    Refusal "refusal" voids [],
    /// The store refuses a write for good.
    Full "full" voids [],
    /// A replica that lags answers a read (K2).
    StaleRead "stale-read" voids [],
    /// A former leader answers a write from what it knows (K5).
    OldLeader "old-leader" voids [],
    /// A new leader stores what the old one refused.
    SuccessorHears "successor-hears" voids [],
    /// The host cannot encode or decode a snapshot.
    BadSnapshot "bad-snapshot" voids [],
    /// The body of a snapshot is absent where it is read.
    AbsentBody "absent-body" voids [],
    /// The body of a snapshot is read with a wrong byte.
    DamagedBody "damaged-body" voids [],
    /// The store refuses most writes for a while: too much is asked of it.
    Overload "overload" voids [],
    /// A host takes long over its work.
    SlowWork "slow-work" voids [],
    /// A leader is replaced, and what it proposed is gone.
    LeaderChange "leader-change" voids [],
    /// A node is gone at once; a new one comes up in its place.
    Crash "crash" voids [],
    /// A node stops for a while, and goes on as if nothing had been.
    Pause "pause" voids [],
    /// A node loses its link to the store.
    LinkDown "link-down" voids [],
    /// A request that was on its way when the link went down never arrives.
    LostWithLink "lost-with-link" voids [],
    /// A node claims a shard that another holds: on a hint that is wrong (S14).
    WrongClaim "wrong-claim" voids [],
    /// A stream of events comes back without its end (S13).
    LostTail "lost-tail" voids [Kept],
    /// The stream of snapshots loses bodies.
    LostBodies "lost-bodies" voids [],
    /// The membership stream comes back without its end.
    LostMembers "lost-members" voids [LeasedAlone],
    /// Somebody with raw rights removes a node's record while the node lives: S16 takes that for a reason
    /// to look, and for no more.
    RemovedMember "removed-member" voids [],
    /// A node finds the store again long after the others, when it came back without its end.
    LateLink "late-link" voids [],
    /// A shard is told to make room for no reason of its own.
    Pressure "pressure" voids [],
    /// A frame between nodes is lost.
    LostFrame "lost-frame" voids [Order],
    /// A frame comes twice.
    FrameTwice "frame-twice" voids [Order],
    /// A frame takes long, and others overtake it.
    LateFrame "late-frame" voids [Order],
    /// An announcement of the store is lost.
    LostAnnouncement "lost-announcement" voids [],
    /// An announcement comes late.
    LateAnnouncement "late-announcement" voids [],
    /// An announcement comes twice.
    AnnouncementTwice "announcement-twice" voids [],
    /// A durable message's answer is lost on its way to the sender.
    LostDelivery "lost-delivery" voids [],
    /// A durable message goes to a node that does not own its receiver.
    StrayDelivery "stray-delivery" voids [],
    /// Nodes do not hear each other, or are wrongly told that nobody listens.
    Partition "partition" voids [Order],
    /// A node does not reach the store, and hears nothing of it.
    Cut "cut" voids [],
    /// A node's requests reach the store, and it hears nothing of it.
    CutIn "cut-in" voids [],
    /// A node hears the store, and its requests do not get there.
    CutOut "cut-out" voids [],
    /// A node's link holds up what it sends, what it gets or both; all of it comes late, in its order.
    Clog "clog" voids [],
    /// A node hears from the store later and later, and then nothing for longer than its lease.
    DyingLink "dying-link" voids [],
    /// The servers elect a leader and take no write.
    Election "election" voids [],
    /// A node is suspended for longer than its lease.
    Suspend "suspend" voids [],
    /// A wall clock is set.
    WallStep "wall-step" voids [],
    /// Another node joins.
    Join "join" voids [],
    /// A node is drained, and leaves.
    Drain "drain" voids [],
    /// One node is gone or stands still for longer than its lease, and nothing else happens.
    Kill "kill" voids [],
    /// All that a node does takes long.
    SlowNode "slow-node" voids [],
    /// A node's monotonic clock runs too fast or too slow, within the bound that leases rest on (S16).
    Drift "drift" voids [],
    /// A node's monotonic clock jumps forward by more than any bound.
    ClockJump "clock-jump" voids [LeasedAlone],
    /// A node's monotonic clock stands still while the node runs.
    ClockFreeze "clock-freeze" voids [LeasedAlone],
    /// The store's wall clock is set.
    StoreStep "store-step" voids [],
    /// Somebody with raw rights deletes the latest ownership record of a shard.
    LostRecord "lost-record" voids [Fenced],
    /// A node does not become well when faults end: it is dead, or reaches nobody.
    GivenUp "given-up" voids [],
    /// The store forgets the consumers of a stream, as with the end of the server that had them.
    ConsumerLost "consumer-lost" voids [],
    /// A message that a fetch brings is lost on its way, and one behind it comes.
    LostMessage "lost-message" voids [],
    /// The way between a node and its server ends, and neither end is told.
    HalfOpen "half-open" voids [],
    /// A node takes nothing of what its server has for it.
    SlowReader "slow-reader" voids [],
    /// All nodes' connections break at once.
    ConnectionStorm "connection-storm" voids [],
    /// All servers are started again without what they had in memory alone.
    ServerRestart "server-restart" voids [],
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|fault| fault.name() == text);
        named.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("there is no fault {text:?}; there are {all}")
        })
    }
}
