//! Which of the figures that a node counts are told, and how they are called.

use tenure::Counters;

/// One figure of a node.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// Whether it falls as well as rises.
    pub(crate) falls: bool,
    pub(crate) value: fn(&Counters) -> u64,
}

const fn rising(name: &'static str, help: &'static str, value: fn(&Counters) -> u64) -> Figure {
    let falls = false;
    Figure {
        name,
        help,
        falls,
        value,
    }
}

const fn level(name: &'static str, help: &'static str, value: fn(&Counters) -> u64) -> Figure {
    Figure {
        falls: true,
        ..rising(name, help, value)
    }
}

/// What every node counts. All of it moves in a run in which nodes come and go, but for the alarms.
pub(crate) const OF_NODES: &[Figure] = &[
    rising("store_requests_total", "Requests to the store", |node| {
        node.store_requests
    }),
    level("members", "Nodes that a node sees", |node| node.members),
    level("shards_owned", "Shards that a node owns", |node| {
        node.shards_owned
    }),
    rising(
        "take_overs_total",
        "Shards taken over from nodes that are gone",
        |node| node.take_overs,
    ),
    rising("hand_overs_total", "Shards handed over", |node| {
        node.hand_overs
    }),
    rising(
        "adopted_total",
        "Shards that were found to be a node's own",
        |node| node.adopted,
    ),
    rising(
        "hints_total",
        "Times that nobody listened where another node is",
        |node| node.hints,
    ),
    rising(
        "lease_losses_total",
        "Times that a node's lease was over before it was renewed",
        |node| node.lease_losses,
    ),
    rising(
        "rejoins_total",
        "Times that a node was taken for over and joined again",
        |node| node.rejoins,
    ),
    rising("forwarded_total", "Requests sent to other nodes", |node| {
        node.forwarded
    }),
    rising(
        "served_total",
        "Requests of other nodes that ran here",
        |node| node.served,
    ),
    rising(
        "not_owner_total",
        "Requests that came to a node which was no owner",
        |node| node.not_owner,
    ),
    rising(
        "no_responders_total",
        "Frames that nobody took in",
        |node| node.no_responders,
    ),
    rising("frames_sent_total", "Frames sent", |node| node.frames_sent),
    rising("frames_received_total", "Frames received", |node| {
        node.frames_received
    }),
    rising(
        "frames_unreadable_total",
        "Frames, and entries of frames, that cannot be read",
        |node| node.frames_unreadable,
    ),
    rising(
        "inbound_lost_total",
        "Frames and announcements that came and were not taken in in time",
        |node| node.inbound_lost,
    ),
    rising(
        "entries_sent_total",
        "Requests and answers in the frames sent",
        |node| node.entries_sent,
    ),
    rising(
        "entries_received_total",
        "Requests and answers in the frames received",
        |node| node.entries_received,
    ),
    level(
        "asks_waiting",
        "Requests that are with other nodes, or wait for an owner",
        |node| node.asks_waiting,
    ),
    rising(
        "overloaded_total",
        "Requests refused because too many were under way",
        |node| node.overloaded,
    ),
    rising(
        "halts_total",
        "Machines that halted because they found their own state wrong: above 0 it is an alarm",
        |node| node.halts,
    ),
];

/// And for counters in memory.
pub(crate) const OF_MEMORY: &[Figure] = &[
    rising("actor_messages_total", "Messages for actors", |node| {
        node.actor_messages
    }),
    rising("actor_answers_total", "Answers of actors", |node| {
        node.actor_answers
    }),
    rising("actor_turns_total", "Turns of actors", |node| {
        node.actor_turns
    }),
    rising("actor_activations_total", "Actors that were made", |node| {
        node.actor_activations
    }),
    rising(
        "actor_passivations_total",
        "Actors that rested for long",
        |node| node.actor_passivations,
    ),
    rising(
        "actor_panics_total",
        "Turns of actors that panicked: above 0 it is an alarm",
        |node| node.actor_panics,
    ),
    level("actors_held", "Actors in memory", |node| node.actors_held),
    level(
        "actor_letters",
        "Messages that wait for their actor",
        |node| node.actor_letters,
    ),
];

/// And for counters whose events are stored.
pub(crate) const OF_ENTITIES: &[Figure] = &[
    rising("requests_total", "Commands and questions", |node| {
        node.requests
    }),
    rising("answers_total", "Answers to them", |node| node.answers),
    rising(
        "cache_hits_total",
        "Requests whose entity was in memory",
        |node| node.cache_hits,
    ),
    rising(
        "cache_misses_total",
        "Requests whose entity was loaded",
        |node| node.cache_misses,
    ),
    level("entities_held", "Entities in memory", |node| {
        node.entities_held
    }),
    level(
        "requests_waiting",
        "Requests that wait for their answer",
        |node| node.requests_waiting,
    ),
];
