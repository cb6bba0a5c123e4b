//! What a node counts.

use crate::step::CountingProbe;

/// What a node has counted since its start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Commands and questions that were taken in.
    pub requests: u64,
    /// Answers that were given.
    pub answers: u64,
    /// Requests to the store.
    pub store_requests: u64,
    /// Requests to the store whose outcome was `Unknown`.
    pub store_unknown: u64,
    /// Stored events that were left out, by the policy for unknown events.
    pub events_skipped: u64,
    /// Commands, questions and pages of histories that wait for their answers at this moment.
    pub requests_waiting: u64,
    /// Requests to the store that are in flight at this moment.
    pub store_in_flight: u64,
    /// Requests to the store that wait at this moment until others are answered.
    pub store_waiting: u64,
    /// Requests that were refused because too many were under way. Those that found no room in a
    /// lane's queue until their deadline are not among them: no lane saw them.
    pub overloaded: u64,
    /// Commands that were decided again, because others were first.
    pub conflicts: u64,
    /// Commands and questions whose entity was in memory when they arrived.
    pub cache_hits: u64,
    /// Commands and questions that waited until their entity was loaded.
    pub cache_misses: u64,
    /// Entities that were forgotten, to make room or because their kind is not kept.
    pub cache_evictions: u64,
    /// Entities in memory at this moment.
    pub entities_held: u64,
    /// Bytes that are kept at this moment for entities at rest; the users' states are not counted.
    pub resting_bytes: u64,
    /// How often a log found that its stream lost acknowledged messages; each log of the stream
    /// finds it for itself.
    pub lost_tails: u64,
    /// Bodies of snapshots that were stored; one counts when a commit names it.
    pub snapshots_stored: u64,
    /// Loads that began at a snapshot.
    pub snapshots_used: u64,
    /// Snapshots that a load found and could not use.
    pub snapshots_ignored: u64,
    /// Snapshots that could not be made or stored, and old ones that could not be deleted.
    pub snapshots_failed: u64,
    /// Bodies of snapshots that were deleted, because newer ones are kept or no commit names them.
    pub snapshots_deleted: u64,
    /// Timers of entities that are armed at this moment, in the shards that this node owns.
    pub timers_armed: u64,
    /// Messages of commits that are not delivered at this moment.
    pub intents_undone: u64,
    /// Messages of commits that are kept as failed at this moment.
    pub intents_kept: u64,
    /// Receivers of messages that are away at this moment, and of which later messages are left in the log:
    /// the others of their shards go on.
    pub receivers_shelved: u64,
    /// Timers of entities that fired.
    pub timers_fired: u64,
    /// Timers of entities whose message the domain rejected; they are cleared.
    pub timers_rejected: u64,
    /// How often a timer's message could not be decided; it stays armed and is tried again.
    pub timers_failed: u64,
    /// Messages of commits that were delivered.
    pub intents_done: u64,
    /// Messages of commits that their receivers rejected.
    pub intents_rejected: u64,
    /// Messages of commits that could not be delivered as things are, and are kept as failed.
    pub intents_failed: u64,
    /// Indexes of shards that were written.
    pub indexes_written: u64,
    /// How often the index of a shard, or a commit after it, could not be read.
    pub indexes_failed: u64,
    /// Messages for actors that were taken in.
    pub actor_messages: u64,
    /// Messages for actors that were answered, called off, or sent on to another owner: what is missing
    /// to those that were taken in waits, or runs.
    pub actor_answers: u64,
    /// Turns of actors that were begun.
    pub actor_turns: u64,
    /// Pieces of actors' code that went on as a task, because they waited for something.
    pub actor_tasks: u64,
    /// Actors that were made.
    pub actor_activations: u64,
    /// Actors that were passivated, because they rested for long or others needed the room.
    pub actor_passivations: u64,
    /// Actors that could not be made.
    pub actor_init_failures: u64,
    /// Handlers, stop hooks and tasks of actors that panicked.
    pub actor_panics: u64,
    /// Actors that began anew.
    pub actor_restarts: u64,
    /// Actors that failed for good, or too often.
    pub actor_failures: u64,
    /// Turns of actors that took longer than their kind's patience.
    pub actor_stuck: u64,
    /// Messages that were taken without a caller and did not run.
    pub actor_undelivered: u64,
    /// Actors in memory at this moment.
    pub actors_held: u64,
    /// Messages in the mailboxes of actors at this moment.
    pub actor_letters: u64,
    /// Partitions of groups whose consumers run on this node at this moment, or are ending.
    pub partitions_held: u64,
    /// Partitions of groups that came to this node.
    pub partitions_claimed: u64,
    /// Partitions of groups that this node began to hand over, or let end for a new life.
    pub partitions_handed_over: u64,
    /// Partitions of groups that this node lost: with its lease, or to another run.
    pub partitions_lost: u64,
    /// What this node told its groups as a whole.
    pub group_orders: u64,
    /// Machines that halted.
    pub halts: u64,
    /// Nodes of the cluster that this one sees at this moment, itself among them.
    pub members: u64,
    /// Shards, of either class, that this node owns at this moment.
    pub shards_owned: u64,
    /// Shards that this node began to take over from nodes that are gone.
    pub take_overs: u64,
    /// Shards that this node began to hand over.
    pub hand_overs: u64,
    /// Shards that were found to be this node's, by a hand-over or a late claim.
    pub adopted: u64,
    /// How often nobody listened at another node, as lane 0 was told.
    pub hints: u64,
    /// How often this node's lease was over before it was renewed, so that it owned nothing.
    pub lease_losses: u64,
    /// How often the others took this node for over, and it joined again as another run.
    pub rejoins: u64,
    /// Requests that were sent to other nodes, each time that one was.
    pub forwarded: u64,
    /// Requests of other nodes that ran here.
    pub served: u64,
    /// Requests that came back because their receiver did not own the shard.
    pub not_owner: u64,
    /// Frames that nobody took in.
    pub no_responders: u64,
    /// Frames that were sent.
    pub frames_sent: u64,
    /// Frames that came.
    pub frames_received: u64,
    /// Frames, and entries of frames, that cannot be read.
    pub frames_unreadable: u64,
    /// Frames and announcements that came and were dropped, because the node did not take them in in
    /// time; of a client that was lent to it only those that it dropped itself.
    pub inbound_lost: u64,
    /// Requests, answers and the like in the frames that were sent.
    pub entries_sent: u64,
    /// The same in those that came.
    pub entries_received: u64,
    /// Requests of this node's callers that are with other nodes, or wait for an owner, at this moment.
    pub asks_waiting: u64,
    /// Consumers that run at this moment.
    pub consumers: u64,
    /// Of those, the ones that are live.
    pub consumers_live: u64,
    /// Of those, the ones that make no progress though there is something to do.
    pub consumers_stalled: u64,
    /// Commits that consumers have not fetched at this moment, as they know.
    pub consumer_lag_commits: u64,
    /// Events that consumers have fetched and not handled at this moment.
    pub consumer_lag_events: u64,
    /// For how long the oldest of these has waited at this moment, in milliseconds: of the consumer that is
    /// behind most.
    pub consumer_lag_ms: u64,
    /// Calls of effects' handlers.
    pub effects_called: u64,
    /// Of these, those that failed.
    pub effects_failed: u64,
    /// Effects that were put aside after their last try.
    pub effects_aside: u64,
    /// Events that were published live.
    pub bus_cast: u64,
    /// Events of the bus that this node heard, each once for each of its live subscriptions.
    pub bus_heard: u64,
    /// Of these, those that had no room with a subscriber that did not keep up.
    pub bus_dropped: u64,
    /// Events that were to be published durably.
    pub bus_published: u64,
    /// Of these, those of which it is not known that they are stored.
    pub bus_refused: u64,
    /// Events that consumers handled.
    pub consumer_events: u64,
    /// Tries of consumers' handlers that failed, and events that could not be decoded.
    pub consumer_failures: u64,
    /// Events that consumers passed over, by their policy.
    pub consumer_skipped: u64,
    /// Events that consumers put aside, by their policy.
    pub consumer_dead_letters: u64,
    /// Checkpoints that consumers stored.
    pub consumer_checkpoints: u64,
    /// How often a consumer read a stream anew, after a reconnect or because messages were lost.
    pub consumer_reopened: u64,
    /// Flights of the node's flight recorder that were written into its folder.
    pub flights_written: u64,
    /// Flights that could not be written; the node goes on without.
    pub flights_failed: u64,
    /// The machines' probes.
    pub probes: CountingProbe,
}

impl Counters {
    /// Adds what another lane counted.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.store_requests += other.store_requests;
        self.store_unknown += other.store_unknown;
        self.events_skipped += other.events_skipped;
        self.store_in_flight += other.store_in_flight;
        self.store_waiting += other.store_waiting;
        self.overloaded += other.overloaded;
        self.conflicts += other.conflicts;
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
        self.cache_evictions += other.cache_evictions;
        self.entities_held += other.entities_held;
        self.resting_bytes += other.resting_bytes;
        self.lost_tails += other.lost_tails;
        self.snapshots_stored += other.snapshots_stored;
        self.snapshots_used += other.snapshots_used;
        self.snapshots_ignored += other.snapshots_ignored;
        self.snapshots_failed += other.snapshots_failed;
        self.snapshots_deleted += other.snapshots_deleted;
        self.timers_armed += other.timers_armed;
        self.intents_undone += other.intents_undone;
        self.intents_kept += other.intents_kept;
        self.receivers_shelved += other.receivers_shelved;
        self.timers_fired += other.timers_fired;
        self.timers_rejected += other.timers_rejected;
        self.timers_failed += other.timers_failed;
        self.intents_done += other.intents_done;
        self.intents_rejected += other.intents_rejected;
        self.intents_failed += other.intents_failed;
        self.indexes_written += other.indexes_written;
        self.indexes_failed += other.indexes_failed;
        self.actor_messages += other.actor_messages;
        self.actor_answers += other.actor_answers;
        self.actor_turns += other.actor_turns;
        self.actor_tasks += other.actor_tasks;
        self.actor_activations += other.actor_activations;
        self.actor_passivations += other.actor_passivations;
        self.actor_init_failures += other.actor_init_failures;
        self.actor_panics += other.actor_panics;
        self.actor_restarts += other.actor_restarts;
        self.actor_failures += other.actor_failures;
        self.actor_stuck += other.actor_stuck;
        self.actor_undelivered += other.actor_undelivered;
        self.actors_held += other.actors_held;
        self.actor_letters += other.actor_letters;
        self.partitions_held += other.partitions_held;
        self.partitions_claimed += other.partitions_claimed;
        self.partitions_handed_over += other.partitions_handed_over;
        self.partitions_lost += other.partitions_lost;
        self.group_orders += other.group_orders;
        self.halts += other.halts;
        self.members += other.members;
        self.shards_owned += other.shards_owned;
        self.take_overs += other.take_overs;
        self.hand_overs += other.hand_overs;
        self.adopted += other.adopted;
        self.hints += other.hints;
        self.lease_losses += other.lease_losses;
        self.rejoins += other.rejoins;
        self.forwarded += other.forwarded;
        self.served += other.served;
        self.not_owner += other.not_owner;
        self.no_responders += other.no_responders;
        self.frames_sent += other.frames_sent;
        self.frames_received += other.frames_received;
        self.frames_unreadable += other.frames_unreadable;
        self.inbound_lost += other.inbound_lost;
        self.entries_sent += other.entries_sent;
        self.entries_received += other.entries_received;
        self.asks_waiting += other.asks_waiting;
        self.consumers += other.consumers;
        self.consumers_live += other.consumers_live;
        self.consumers_stalled += other.consumers_stalled;
        self.consumer_lag_commits += other.consumer_lag_commits;
        self.consumer_lag_events += other.consumer_lag_events;
        self.consumer_lag_ms = self.consumer_lag_ms.max(other.consumer_lag_ms);
        self.effects_called += other.effects_called;
        self.effects_failed += other.effects_failed;
        self.effects_aside += other.effects_aside;
        self.bus_cast += other.bus_cast;
        self.bus_heard += other.bus_heard;
        self.bus_dropped += other.bus_dropped;
        self.bus_published += other.bus_published;
        self.bus_refused += other.bus_refused;
        self.consumer_events += other.consumer_events;
        self.consumer_failures += other.consumer_failures;
        self.consumer_skipped += other.consumer_skipped;
        self.consumer_dead_letters += other.consumer_dead_letters;
        self.consumer_checkpoints += other.consumer_checkpoints;
        self.consumer_reopened += other.consumer_reopened;
        self.probes.absorb(&other.probes);
    }
}
