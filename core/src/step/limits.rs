//! A limit on everything that can grow, in one value.

use super::Span;

/// The limits of a node. Each bounds one queue, loop, buffer or number of operations in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Limits {
    /// Effects that one step may push.
    pub effects_max: usize,
    /// Entities that the node keeps in memory, over all shards: of those at rest the one that was
    /// used longest ago goes first. While more have something under way, there are more. 0 keeps
    /// none: each use loads its entity.
    pub entities_max: usize,
    /// Bytes that the node keeps for entities at rest, the users' states not counted: some 500 for an
    /// entity, 56 for each command id, and the stored outcomes.
    pub resting_bytes_max: usize,
    /// Snapshots that one shard remembers for entities that it forgot before a commit could name
    /// them; the oldest is forgotten first, and taken anew when it is due.
    pub snapshots_unnamed_max: usize,
    /// Commands and reads that wait for one entity; the next one is refused `Overloaded`.
    pub entity_queue_max: usize,
    /// Commands, reads and pages of histories that wait for their answers in the whole node; the next
    /// one is refused `Overloaded`. While the store is silent each takes some kilobytes until its
    /// deadline.
    pub requests_max: usize,
    /// Requests to one stream that one lane has in flight; the next ones wait in the lane.
    pub store_in_flight_max: usize,
    /// Requests to one stream that wait in one lane. When so many do, commands and reads of its
    /// shards are refused `Overloaded`; what is under way may add to them.
    pub store_waiting_max: usize,
    /// Commands and reads that wait in one shard; the next one is refused `Overloaded`.
    pub shard_queue_max: usize,
    /// Commands that one commit takes.
    pub commit_commands_max: usize,
    /// Commits of one shard that are in flight, each of another entity. In owned mode on a replicated
    /// stream one batch is.
    pub commits_in_flight_max: usize,
    /// Entity messages in one atomic batch. The server takes 1,000 messages, the fence being one.
    pub batch_messages_max: usize,
    /// Sequences of earlier commits that one commit lists.
    pub chain_max: usize,
    /// Command ids that one entity remembers at most.
    pub command_ids_max: usize,
    /// Command ids that one entity remembers however old they are.
    pub command_ids_min: usize,
    /// How long an entity remembers a command id beyond `command_ids_min`, in milliseconds of the
    /// commits' stamps.
    pub command_id_age_ms: u64,
    /// Bytes of one stored outcome.
    pub outcome_bytes_max: usize,
    /// Headers that one command's metadata has at most.
    pub metadata_headers_max: usize,
    /// Bytes of one command's metadata in all its texts.
    pub metadata_bytes_max: usize,
    /// How far a command id may be ahead of the owner's wall clock, in milliseconds.
    pub id_ahead_max_ms: u64,
    /// How often one command is decided anew after a conflict.
    pub conflict_tries_max: u32,
    /// Bodies of snapshots of one shard that are being stored at once, and as many that are being
    /// looked at or deleted; an entity whose turn does not come is snapshotted later.
    pub snapshot_bodies_max: usize,
    /// Deletions of snapshots of one shard that wait; what is beyond is found by a later sweep.
    pub snapshot_chores_max: usize,
    /// Timers that one entity has armed; a decision that would arm more is refused.
    pub entity_timers_max: usize,
    /// Messages to entities that one command sends; a decision that sends more is refused.
    pub sends_max: usize,
    /// Events of the bus that one lane holds until they are stored; further ones are refused.
    pub publications_max: usize,
    /// Timers that one shard has in mind at once: of more, those that are due last are found again in
    /// the log when their time comes near.
    pub shard_timers_max: usize,
    /// Timers of one shard that are firing at once.
    pub firings_max: usize,
    /// Messages of one shard that are on their way at once.
    pub dispatches_max: usize,
    /// Undone messages of one shard that are held in memory; what is beyond is read from the log later.
    pub undone_max: usize,
    /// Undone messages of one shard that were sent in vain and are put aside: their places are in memory
    /// and in the index, the rest of them in the log. With so many beside those in memory the shard takes
    /// in nothing newer. Their places take a quarter of what the server takes as one message at most.
    pub aside_max: usize,
    /// Undone messages to one receiver, in memory or put aside, that shelve it when it is not reached:
    /// later messages to it are left in the log until it takes what was before them.
    pub receiver_undone_max: usize,
    /// Receivers of one shard's messages that are shelved at once; of further ones each message counts.
    pub receivers_shelved_max: usize,
    /// The index of a shard is written after so many commits at the latest.
    pub index_every: u32,
    /// The index of a shard is written so long after something in it changed.
    pub index_delay: Span,
    /// Commits that are read at once after the index of a shard.
    pub index_page: u32,
    /// How long a new owner waits before it reads them, and half as long again by dice: callers who
    /// waited while the shard changed hands are served first. What the index names is due meanwhile.
    pub index_pause: Span,
    /// How often the wall clock is read again while a timer is armed, so that a clock that is set is
    /// noticed.
    pub wall_reread: Span,
    /// The longest wait before a timer that could not be decided, or a message that was not delivered,
    /// is tried again.
    pub later_delay_max: Span,
    /// How long one store request may take before its outcome is `Unknown`.
    pub store_timeout: Span,
    /// The wait before the first repetition; each further one doubles it.
    pub retry_delay_min: Span,
    /// The longest wait before a repetition.
    pub retry_delay_max: Span,
    /// How long a reader asks on after a listed commit is absent before it reports `LogDamaged`.
    pub absent_patience: Span,
    /// How long the body of a current snapshot is asked for again, on a replicated stream, before it
    /// counts as gone and the log is replayed instead. A replay is right too, so a wait that is much
    /// longer than one is of no use.
    pub snapshot_patience: Span,
    /// How long a stream may look shorter than it was before its tail counts as lost.
    pub lost_tail_patience: Span,
    /// How long a node waits, after it joined a cluster and after the set of nodes that own shards
    /// changed, before it moves shards that are owned: so a cluster that starts as a whole spreads
    /// them at once, and a node that comes and goes moves none. Shards of nodes that are gone do not
    /// wait for it.
    pub settle: Span,
    /// How often a node reads all ownership records again, besides hearing of them.
    pub owners_reread: Span,
    /// How often a node reads whose a partition of a group is that is to become its own.
    pub group_poll: Span,
    /// Shards that one node claims at once.
    pub claims_max: usize,
    /// Shards that one node hands over at once.
    pub hand_overs_max: usize,
    /// How long actors have to end when their shard is to be handed over. After that it stays for now,
    /// who waited for it is served, and the hand-over is tried again after as long a wait, and after
    /// twice as long each time it comes to nothing again.
    pub hand_over_patience: Span,
    /// The longest wait before such a hand-over is tried again.
    pub hand_over_again_max: Span,
    /// How long opening a namespace, or the first use of a kind, may take before it fails.
    pub open_timeout: Span,
    /// Kinds whose first use is under way at once.
    pub kinds_max: usize,
    /// Requests of one lane that are on their way to one node; the next one is refused `Overloaded`.
    pub forwards_in_flight_max: usize,
    /// Requests of one lane that wait for an owner, a link or their turn after a redirection; the next
    /// one is refused `Overloaded`.
    pub forwards_waiting_max: usize,
    /// Requests of other nodes that run in one lane. One asking lane has at most half of what the
    /// others leave; what is beyond is refused `Overloaded`.
    pub serves_max: usize,
    /// Asking lanes of which one lane knows what it served them.
    pub callers_max: usize,
    /// How long a request waits for a shard that nobody owns before it is refused `NoOwner`. It covers
    /// a start of the cluster and a take-over on a hint, and ends before the usual patience of
    /// callers, who learn the reason then.
    pub no_owner_patience: Span,
    /// How long the later requests of a key wait behind those that are still on their way to a former
    /// owner. Those that may be sent again go to the new owner after it.
    pub redirect_patience: Span,
    /// The longest wait before a request is sent again to who did not take it.
    pub redirect_delay_max: Span,
    /// Pages of histories that one lane reads at once; the next one is refused `Overloaded`.
    pub histories_max: usize,
    /// Nodes that a namespace has at most; the next one does not join.
    pub members_max: usize,
    /// Bytes of one node's membership record: its labels, zone and program.
    pub member_bytes_max: usize,
    /// How often a node that owns shards and is not heard of otherwise is asked whether it is there;
    /// less often where there are so many that it would be more than 200 questions in a second.
    pub probe_every: Span,
    /// How long a node that leaves tries to say so.
    pub leave_timeout: Span,
    /// Actors that the node keeps in memory, over all lanes: of those at rest the one that was used
    /// longest ago goes first. When none rests, a message for another key is refused `Overloaded`.
    pub activations_max: usize,
    /// Messages that wait in the mailboxes of one lane; the next one is refused `Overloaded`.
    pub letters_max: usize,
    /// Messages that wait in one place while it is handed over; the next one is refused `Overloaded`.
    pub stash_max: usize,
    /// Actors of one lane that begin a turn before the lane looks at anything else.
    pub actor_turns_max: usize,
    /// Timers of one actor; its context refuses the next one.
    pub timers_max: usize,
    /// Watches of one actor, by it and of it; the next one is refused.
    pub watchers_max: usize,
    /// Actors that wait for one another in a row; one more is refused `TooDeep`.
    pub trail_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A step may answer all callers of a shard, and ask and forget for each entity.
            effects_max: 1 << 20,
            entities_max: 65_536,
            resting_bytes_max: 256 << 20,
            snapshots_unnamed_max: 1_024,
            entity_queue_max: 4_096,
            requests_max: 65_536,
            store_in_flight_max: 1_024,
            store_waiting_max: 16_384,
            shard_queue_max: 65_536,
            commit_commands_max: 128,
            commits_in_flight_max: 1_024,
            batch_messages_max: 256,
            chain_max: 64,
            command_ids_max: 8_192,
            command_ids_min: 64,
            command_id_age_ms: 120_000,
            outcome_bytes_max: 4_096,
            metadata_headers_max: 64,
            metadata_bytes_max: 8_192,
            id_ahead_max_ms: 60_000,
            conflict_tries_max: 256,
            snapshot_bodies_max: 64,
            snapshot_chores_max: 4_096,
            entity_timers_max: 64,
            sends_max: 256,
            publications_max: 4_096,
            shard_timers_max: 16_384,
            firings_max: 64,
            dispatches_max: 64,
            undone_max: 1_024,
            aside_max: 8_192,
            receiver_undone_max: 256,
            receivers_shelved_max: 256,
            index_every: 1_000,
            index_delay: Span::from_secs(1),
            index_page: 64,
            index_pause: Span::from_millis(500),
            wall_reread: Span::from_secs(5),
            later_delay_max: Span::from_secs(30),
            store_timeout: Span::from_secs(5),
            retry_delay_min: Span::from_millis(2),
            retry_delay_max: Span::from_secs(1),
            absent_patience: Span::from_secs(5),
            snapshot_patience: Span::from_millis(500),
            lost_tail_patience: Span::from_secs(10),
            settle: Span::from_secs(1),
            owners_reread: Span::from_secs(5),
            group_poll: Span::from_millis(200),
            claims_max: 64,
            hand_overs_max: 8,
            hand_over_patience: Span::from_secs(2),
            hand_over_again_max: Span::from_secs(60),
            open_timeout: Span::from_secs(30),
            kinds_max: 1_024,
            forwards_in_flight_max: 16_384,
            forwards_waiting_max: 16_384,
            serves_max: 65_536,
            callers_max: 4_096,
            no_owner_patience: Span::from_secs(3),
            redirect_patience: Span::from_millis(100),
            redirect_delay_max: Span::from_millis(250),
            histories_max: 4_096,
            members_max: 500,
            member_bytes_max: 16_384,
            probe_every: Span::from_millis(300),
            leave_timeout: Span::from_secs(5),
            activations_max: 1 << 20,
            letters_max: 65_536,
            stash_max: 16_384,
            actor_turns_max: 256,
            timers_max: 64,
            watchers_max: 64,
            trail_max: 32,
        }
    }
}
