//! Of what nothing is promised any more, and since when: a fault voids a promise from its first effect on,
//! and for what it met alone.

use std::collections::BTreeMap;
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Subject};

/// Of what nothing is promised any more, each with the true time, in nanoseconds, since when.
#[derive(Clone, Debug, Default)]
pub struct Voids {
    /// That of the leased class one node acts at a time: a clock was wrong, or heartbeats were lost.
    leased: Option<u64>,
    /// The same of leases beside clocks and heartbeats: the record of who owns a shard was lost.
    owners: Option<u64>,
    /// Shards whose ownership record was deleted, by class and number as subjects have them (`f.7`).
    shards: BTreeMap<String, u64>,
    /// Entities of which a stream lost commits, by kind and id.
    lost: BTreeMap<(String, String), u64>,
    /// When a stream of events first came back without its end.
    tail: Option<u64>,
    /// Nodes between which a frame was lost, late, or came twice: from one, to the other or to anyone.
    frames: BTreeMap<(usize, Option<usize>), u64>,
}

/// What an entity's commits rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rests {
    /// On its own subject alone.
    Subject,
    /// On its shard's fence.
    Fence,
    /// On that, and on its owner's lease.
    Lease,
}

fn earlier(one: &mut Option<u64>, at: u64) {
    *one = Some(one.map_or(at, |before| before.min(at)));
}

/// Class and shard of a subject of an ownership record, as they stand there.
fn shard_of_record(subject: &str) -> Option<&str> {
    let (_, rest) = subject.split_once('.')?;
    rest.strip_prefix("own.")
}

/// A shard of the class that takes over by the fence alone.
fn fenced(shard: &str) -> String {
    format!("f.{shard}")
}

/// One of the class that rests on leases.
fn leased(shard: &str) -> String {
    format!("l.{shard}")
}

impl Voids {
    /// With what is promised of the leased class void since then, if it is.
    pub(crate) fn with_leased(mut self, since: Option<u64>) -> Self {
        if let Some(at) = since {
            earlier(&mut self.leased, at);
        }
        self
    }

    /// An ownership record is deleted.
    pub fn deleted(&mut self, record: &Subject, at: u64) {
        let Some(shard) = shard_of_record(record) else {
            return;
        };
        self.shards.entry(shard.to_owned()).or_insert(at);
        if shard.starts_with("l.") {
            earlier(&mut self.owners, at);
        }
    }

    /// A stream of events loses these messages.
    pub fn lost<'m>(
        &mut self,
        namespace: &Namespace,
        messages: impl Iterator<Item = &'m Message>,
        at: u64,
    ) {
        earlier(&mut self.tail, at);
        for message in messages {
            if shard_of_record(&message.subject).is_some_and(|it| it.starts_with("l.")) {
                earlier(&mut self.owners, at);
            }
            if let Ok(named) = namespace.parse_event_subject(&message.subject) {
                let key = (named.kind.as_str().to_owned(), named.id.as_str().to_owned());
                self.lost.entry(key).or_insert(at);
            }
        }
    }

    /// A frame of a node for another one, or for whoever it was, is lost, late, or comes twice.
    pub(crate) fn disordered(&mut self, from: usize, to: Option<usize>, at: u64) {
        self.frames.entry((from, to)).or_insert(at);
    }

    /// Whether the fence of a shard is void, be it of the one class or the other.
    pub(crate) fn is_unfenced(&self, shard: &str) -> bool {
        let void = |shard: String| self.shards.contains_key(&shard);
        void(fenced(shard)) || void(leased(shard))
    }

    /// Whether that of any shard is.
    pub(crate) fn unfenced_any(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Whether a stream of events lost its end.
    pub(crate) fn tail_lost(&self) -> bool {
        self.tail.is_some()
    }

    /// Since when nothing is promised of leases.
    pub(crate) fn leases(&self) -> Option<u64> {
        self.leased
    }

    /// Since when nothing is promised of who acts for a leased shard.
    pub(crate) fn alone(&self) -> Option<u64> {
        [self.leased, self.owners].into_iter().flatten().min()
    }

    /// Since when an entity may have lost what was acknowledged.
    pub(crate) fn lost_of(&self, kind: &str, id: &str) -> Option<u64> {
        self.lost.get(&(kind.to_owned(), id.to_owned())).copied()
    }

    /// Since when nothing is promised of an entity of a shard, where that is known.
    pub(crate) fn of(
        &self,
        (kind, id): (&str, &str),
        shard: Option<&str>,
        rests: Rests,
    ) -> Option<u64> {
        let since = |shard: Option<String>| self.shards.get(&shard?).copied();
        let rests_on = match rests {
            Rests::Subject => [None, None],
            Rests::Fence => [since(shard.map(fenced)), None],
            Rests::Lease => [since(shard.map(leased)), self.alone()],
        };
        let all = rests_on.into_iter().chain([self.lost_of(kind, id)]);
        all.flatten().min()
    }

    /// Whether what one node sent another may have come in another order by then.
    pub(crate) fn is_disordered(&self, one: usize, two: usize, by: u64) -> bool {
        let ways = [(one, Some(two)), (one, None), (two, Some(one)), (two, None)];
        ways.iter()
            .any(|way| self.frames.get(way).is_some_and(|at| *at <= by))
    }
}

#[cfg(test)]
mod tests {
    use super::{Rests, Voids};

    #[test]
    fn a_fault_voids_what_it_met_since_it_came() {
        let mut voids = Voids::default();
        voids.deleted(&"sim.own.f.7".into(), 50);
        let of = |voids: &Voids, shard, rests| voids.of(("counter", "c"), Some(shard), rests);
        assert_eq!(of(&voids, "7", Rests::Fence), Some(50));
        assert_eq!(of(&voids, "7", Rests::Subject), None);
        assert_eq!(of(&voids, "8", Rests::Fence), None);
        assert!(voids.is_unfenced("7") && !voids.is_unfenced("8"));
        let voids = voids.with_leased(Some(20));
        assert_eq!(of(&voids, "8", Rests::Lease), Some(20));
        assert_eq!(of(&voids, "8", Rests::Fence), None);
    }

    #[test]
    fn a_frame_voids_the_order_of_its_pair_from_then_on() {
        let mut voids = Voids::default();
        voids.disordered(1, Some(2), 30);
        assert!(voids.is_disordered(1, 2, 30) && voids.is_disordered(2, 1, 31));
        assert!(!voids.is_disordered(1, 2, 29) && !voids.is_disordered(1, 3, 99));
        voids.disordered(3, None, 40);
        assert!(voids.is_disordered(1, 3, 99) && !voids.is_disordered(1, 4, 99));
    }
}
