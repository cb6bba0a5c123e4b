//! The names of all subjects and streams of a namespace (S1), and the way back from an event's.

use super::escape::{ESCAPED_BYTES_MAX, escape_into, unescape_id};
use super::{EventPlace, FormatError, Layout, TakeOver};
use crate::bus::{Pattern, Topic};
use crate::id::{GroupPart, Partition, ShardId, SnapshotTag, Version};
use crate::name::{ConsumerName, EntityId, KindName, Namespace, NodeName};
use crate::port::{Republish, StreamName, Subject};
use crate::route::Address;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

/// The longest subject in bytes: the body of a snapshot whose id is escaped byte for byte.
pub const SUBJECT_BYTES_MAX: usize = Namespace::BYTES_MAX
    + ".snap.65535.".len()
    + KindName::BYTES_MAX
    + ".".len()
    + ESCAPED_BYTES_MAX
    + ".18446744073709551615.".len()
    + 32;

/// The longest protocol line that nats-server takes by default (`max_control_line`).
const CONTROL_LINE_BYTES_MAX: usize = 4_096;

/// What else is in the line of the longest publish: the verb, a reply inbox of up to 512 bytes,
/// and two sizes.
const LINE_REST_BYTES_MAX: usize = "HPUB ".len() + 1 + 512 + 1 + 20 + 1 + 20 + 2;

const _: () = assert!(SUBJECT_BYTES_MAX + LINE_REST_BYTES_MAX <= CONTROL_LINE_BYTES_MAX);

/// What an event's subject says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct EventSubject {
    /// The shard.
    pub shard: ShardId,
    /// The kind.
    pub kind: KindName,
    /// The entity.
    pub id: EntityId,
}

impl TakeOver {
    /// The class in subjects: `f` or `l`.
    pub const fn letter(self) -> char {
        match self {
            Self::Fenced => 'f',
            Self::Leased => 'l',
        }
    }
}

/// Subjects.
impl Namespace {
    /// `<ns>.ev.<shard>.<kind>.<id>`: the commits of one entity.
    pub fn event_subject(&self, shard: ShardId, kind: &KindName, id: &EntityId) -> Subject {
        let mut subject = String::with_capacity(
            self.as_str().len() + kind.as_str().len() + 3 * id.as_str().len() + 12,
        );
        self.entity(&mut subject, "ev", shard, kind, id);
        subject.into()
    }

    /// `<ns>.ev.<shard>.<kind>.*`: the commits of one kind in one shard, as a filter.
    pub fn kind_filter(&self, shard: ShardId, kind: &KindName) -> Subject {
        format!("{self}.ev.{shard}.{kind}.*").into()
    }

    /// `<ns>.ev.<shard>.>`: the commits of one shard, as a filter.
    pub fn shard_filter(&self, shard: ShardId) -> Subject {
        format!("{self}.ev.{shard}.>").into()
    }

    /// `<ns>.own.<class>.<shard>`: the ownership record of a shard.
    pub fn ownership_subject(&self, class: TakeOver, shard: ShardId) -> Subject {
        format!("{self}.own.{}.{shard}", class.letter()).into()
    }

    /// `<ns>.bar.<class>.<shard>`: the barrier of a shard.
    pub fn barrier_subject(&self, class: TakeOver, shard: ShardId) -> Subject {
        format!("{self}.bar.{}.{shard}", class.letter()).into()
    }

    /// `<ns>.idx.<class>.<shard>`: the index of a shard.
    pub fn index_subject(&self, class: TakeOver, shard: ShardId) -> Subject {
        format!("{self}.idx.{}.{shard}", class.letter()).into()
    }

    /// Whose index is on a subject; none when it is no index's of this namespace.
    pub fn parse_index_subject(&self, subject: &str) -> Option<(TakeOver, ShardId)> {
        let rest = subject.strip_prefix(self.as_str())?.strip_prefix(".idx.")?;
        let (class, shard) = rest.split_once('.')?;
        let classes = [TakeOver::Fenced, TakeOver::Leased];
        let class = classes
            .into_iter()
            .find(|it| class.strip_prefix(it.letter()) == Some(""))?;
        Some((class, ShardId(shard.parse().ok()?)))
    }

    /// `<ns>.lay.<stream>`: the anchor of an event stream, its first message.
    pub fn anchor_subject(&self, partition: Partition) -> Subject {
        format!("{self}.lay.{partition}").into()
    }

    /// `<ns>.ctl.layout`: the layout record.
    pub fn layout_subject(&self) -> Subject {
        format!("{self}.ctl.layout").into()
    }

    /// `<ns>.ctl.import`: the record of the import that fills, or filled, the namespace.
    pub fn import_subject(&self) -> Subject {
        format!("{self}.ctl.import").into()
    }

    /// `<ns>.ctl.kind.<kind>`: the record of a kind.
    pub fn kind_subject(&self, kind: &KindName) -> Subject {
        format!("{self}.ctl.kind.{kind}").into()
    }

    /// `<ns>.ctl.kind.*`: the records of all kinds, as a filter.
    pub fn kind_records_filter(&self) -> Subject {
        format!("{self}.ctl.kind.*").into()
    }

    /// `<ns>.chk.<consumer>`: the checkpoint of a consumer, or the definition of a group.
    pub fn checkpoint_subject(&self, consumer: &ConsumerName) -> Subject {
        format!("{self}.chk.{consumer}").into()
    }

    /// `<ns>.bus.<topic>`: what is published durably.
    pub fn bus_subject(&self, topic: &Topic) -> Subject {
        format!("{self}.bus.{topic}").into()
    }

    /// `<ns>.bus.<pattern>`: the same, as a filter.
    pub fn bus_filter(&self, pattern: &Pattern) -> Subject {
        format!("{self}.bus.{pattern}").into()
    }

    /// `<ns>.cast.<topic>`: the core subject of what is published live.
    pub fn cast_subject(&self, topic: &Topic) -> Subject {
        format!("{self}.cast.{topic}").into()
    }

    /// `<ns>.cast.<pattern>`: where who listens hears the bus, as a filter.
    pub fn cast_filter(&self, pattern: &Pattern) -> Subject {
        format!("{self}.cast.{pattern}").into()
    }

    /// The topic of a stored publication.
    ///
    /// # Errors
    ///
    /// When the subject is none of this namespace's bus.
    pub fn parse_bus_subject(&self, subject: &str) -> Result<Topic, FormatError> {
        let topic = subject
            .strip_prefix(self.as_str())
            .and_then(|rest| rest.strip_prefix(".bus."));
        topic
            .and_then(|topic| Topic::new(topic).ok())
            .ok_or_else(|| FormatError::Subject {
                subject: subject.to_owned(),
                problem: "it is no topic of this namespace",
            })
    }

    /// `<ns>.chk.`: what the subjects of checkpoints begin with.
    pub fn checkpoints_prefix(&self) -> String {
        format!("{self}.chk.")
    }

    /// `<ns>.chk.*`: the checkpoints of all consumers and the definitions of all groups, as a filter.
    pub fn checkpoints_filter(&self) -> Subject {
        format!("{self}.chk.*").into()
    }

    /// `<ns>.chk.<projection>.mark`: the mark of a projection that is stored as a whole.
    pub fn mark_subject(&self, projection: &ConsumerName) -> Subject {
        format!("{self}.chk.{projection}.mark").into()
    }

    /// `<ns>.chk.<projection>.part.<tag>.<n>`: a part of its state.
    pub fn state_part_subject(&self, projection: &ConsumerName, tag: u64, n: u32) -> Subject {
        format!("{self}.chk.{projection}.part.{tag:016x}.{n}").into()
    }

    /// `<ns>.chk.<projection>.>`: the mark and all parts of its states, as a filter.
    pub fn states_filter(&self, projection: &ConsumerName) -> Subject {
        format!("{self}.chk.{projection}.>").into()
    }

    /// `<ns>.chk.<projection>.part.>`: all parts of its states, as a filter.
    pub fn state_parts_filter(&self, projection: &ConsumerName) -> Subject {
        format!("{self}.chk.{projection}.part.>").into()
    }

    /// `$KV.<ns>.<projection>.<key>`: the value of a key, for readers of NATS KV the key
    /// `<projection>.<key>` of the bucket `<ns>`.
    pub fn value_subject(&self, projection: &ConsumerName, key: &str) -> Subject {
        format!("$KV.{self}.{projection}.{key}").into()
    }

    /// `$KV.<ns>.<projection>.>`: all values of a projection, as a filter.
    pub fn values_filter(&self, projection: &ConsumerName) -> Subject {
        format!("$KV.{self}.{projection}.>").into()
    }

    /// `<ns>.grp.<group>.<partition>`: the owner and the checkpoint of a partition of a group.
    pub fn partition_subject(&self, group: &ConsumerName, part: GroupPart) -> Subject {
        format!("{self}.grp.{group}.{part}").into()
    }

    /// `<ns>.grp.<group>.orders`: what a group was told as a whole.
    pub fn group_orders_subject(&self, group: &ConsumerName) -> Subject {
        format!("{self}.grp.{group}.orders").into()
    }

    /// `<ns>.grp.<group>.>`: the records of a group's partitions and what it was told, as a filter.
    pub fn group_records_filter(&self, group: &ConsumerName) -> Subject {
        format!("{self}.grp.{group}.>").into()
    }

    /// `<ns>.dlq.<consumer>.<stream>.<sequence>.<index>`: one dead letter of a consumer.
    pub fn dead_letter_subject(&self, consumer: &ConsumerName, place: EventPlace) -> Subject {
        let EventPlace {
            partition,
            sequence,
            index,
        } = place;
        format!("{self}.dlq.{consumer}.{partition}.{sequence}.{index}").into()
    }

    /// `<ns>.dlq.>`: the dead letters of all consumers, as a filter.
    pub fn all_dead_letters_filter(&self) -> Subject {
        format!("{self}.dlq.>").into()
    }

    /// `<ns>.dlq.<consumer>.>`: the dead letters of a consumer, as a filter.
    pub fn dead_letters_filter(&self, consumer: &ConsumerName) -> Subject {
        format!("{self}.dlq.{consumer}.>").into()
    }

    /// `<ns>.ev.<shard>.<kind>.<id>` as a filter, with `*` for what is not said.
    pub fn events_filter(
        &self,
        shard: Option<ShardId>,
        kind: Option<&KindName>,
        id: Option<&EntityId>,
    ) -> Subject {
        let mut filter = format!("{self}.ev.");
        // Writing to a `String` cannot fail.
        let _ = match (shard, kind, id) {
            (None, None, None) => write!(filter, ">"),
            (Some(shard), None, None) => write!(filter, "{shard}.>"),
            (None, Some(kind), _) => write!(filter, "*.{kind}."),
            (Some(shard), Some(kind), _) => write!(filter, "{shard}.{kind}."),
            (None, None, Some(_)) => write!(filter, "*.*."),
            (Some(shard), None, Some(_)) => write!(filter, "{shard}.*."),
        };
        match (kind, id) {
            (_, Some(id)) => escape_into(id, &mut filter),
            (Some(_), None) => filter.push('*'),
            (None, None) => {}
        }
        filter.into()
    }

    /// `<ns>.mem.<node>`: the membership record of a node.
    pub fn member_subject(&self, node: &NodeName) -> Subject {
        format!("{self}.mem.{node}").into()
    }

    /// `<ns>.mem.*`: the membership records, as a filter.
    pub fn members_filter(&self) -> Subject {
        format!("{self}.mem.*").into()
    }

    /// `<ns>.hb.*`: the core subjects on which membership records are announced, as a filter.
    pub fn members_heard_filter(&self) -> Subject {
        format!("{self}.hb.*").into()
    }

    /// `<ns>.rep.>`: the core subjects on which ownership records are announced, as a filter.
    pub fn owners_heard_filter(&self) -> Subject {
        format!("{self}.rep.>").into()
    }

    /// `<ns>.node.<incarnation>.<lane>`: the core subject on which a lane of a node listens.
    pub fn lane_subject(&self, address: Address) -> Subject {
        let Address { incarnation, lane } = address;
        format!("{self}.node.{incarnation}.{lane}").into()
    }

    /// `<ns>.snap.<shard>.<kind>.<id>.<version>.<tag>`: the body of a snapshot.
    pub fn snapshot_subject(
        &self,
        shard: ShardId,
        kind: &KindName,
        id: &EntityId,
        version: Version,
        tag: SnapshotTag,
    ) -> Subject {
        let mut subject = String::with_capacity(
            self.as_str().len() + kind.as_str().len() + 3 * id.as_str().len() + 68,
        );
        self.entity(&mut subject, "snap", shard, kind, id);
        // Writing to a `String` cannot fail.
        let _ = write!(subject, ".{version}.{tag}");
        subject.into()
    }

    /// What an event's subject says.
    ///
    /// # Errors
    ///
    /// When it is not exactly what [`event_subject`](Self::event_subject) makes in this namespace.
    pub fn parse_event_subject(&self, subject: &str) -> Result<EventSubject, FormatError> {
        let wrong = |problem| FormatError::Subject {
            subject: subject.to_owned(),
            problem,
        };
        let rest = subject
            .strip_prefix(self.as_str())
            .and_then(|rest| rest.strip_prefix(".ev."))
            .ok_or_else(|| wrong("it is no event of this namespace"))?;
        let mut tokens = rest.split('.');
        let (Some(shard), Some(kind), Some(id), None) =
            (tokens.next(), tokens.next(), tokens.next(), tokens.next())
        else {
            return Err(wrong("an event has a shard, a kind and an id"));
        };
        let shard = shard_number(shard).ok_or_else(|| wrong("its shard is no plain number"))?;
        let kind = KindName::new(kind).map_err(|_| wrong("its kind cannot be one"))?;
        let id = unescape_id(id)?;
        Ok(EventSubject { shard, kind, id })
    }

    fn entity(
        &self,
        subject: &mut String,
        family: &str,
        shard: ShardId,
        kind: &KindName,
        id: &EntityId,
    ) {
        // Writing to a `String` cannot fail.
        let _ = write!(subject, "{self}.{family}.{shard}.{kind}.");
        escape_into(id, subject);
    }
}

/// Streams.
impl Namespace {
    /// `<ns>_ev_<n>`: an event stream.
    pub fn event_stream(&self, partition: Partition) -> StreamName {
        format!("{self}_ev_{partition}").into()
    }

    /// `<ns>_ctl`: the stream of the layout and kind records.
    pub fn control_stream(&self) -> StreamName {
        format!("{self}_ctl").into()
    }

    /// `<ns>_mem`: the stream of membership records.
    pub fn member_stream(&self) -> StreamName {
        format!("{self}_mem").into()
    }

    /// `<ns>_con`: the stream of what consumers know.
    pub fn consumer_stream(&self) -> StreamName {
        format!("{self}_con").into()
    }

    /// `KV_<ns>`: the bucket of the values of projections.
    pub fn value_stream(&self) -> StreamName {
        format!("KV_{self}").into()
    }

    /// What the bucket takes in.
    pub fn value_stream_subjects(&self) -> Vec<String> {
        vec![format!("$KV.{self}.>")]
    }

    /// `<ns>_bus`: the stream of what is published durably.
    pub fn bus_stream(&self) -> StreamName {
        format!("{self}_bus").into()
    }

    /// `<ns>_snap`: the stream of snapshot bodies.
    pub fn snapshot_stream(&self) -> StreamName {
        format!("{self}_snap").into()
    }

    /// What an event stream takes in: everything of the namespace's log when it is the only one,
    /// else the subjects of its shards one by one (K3).
    pub fn event_stream_subjects(&self, layout: &Layout, partition: Partition) -> Vec<String> {
        let anchor = self.anchor_subject(partition);
        if layout.streams == 1 {
            return ["ev", "own", "bar", "idx"]
                .iter()
                .map(|family| format!("{self}.{family}.>"))
                .chain([String::from(anchor)])
                .collect();
        }
        let mut subjects = vec![String::from(anchor)];
        for shard in layout.shards_of(partition) {
            subjects.push(format!("{self}.ev.{shard}.>"));
            subjects.push(format!("{self}.own.*.{shard}"));
            subjects.push(format!("{self}.bar.*.{shard}"));
            subjects.push(format!("{self}.idx.*.{shard}"));
        }
        subjects
    }

    /// What the control stream takes in.
    pub fn control_stream_subjects(&self) -> Vec<String> {
        vec![format!("{self}.ctl.>")]
    }

    /// What the stream of consumers takes in: checkpoints and states of projections, dead letters, and
    /// the partitions of groups.
    pub fn consumer_stream_subjects(&self) -> Vec<String> {
        ["chk", "dlq", "grp"]
            .iter()
            .map(|family| format!("{self}.{family}.>"))
            .collect()
    }

    /// What the stream of the bus takes in.
    pub fn bus_stream_subjects(&self) -> Vec<String> {
        vec![format!("{self}.bus.>")]
    }

    /// Where the stream of the bus announces what it stored: who listens hears it with what is live.
    pub fn bus_notices(&self) -> Republish {
        Republish {
            source: format!("{self}.bus.>"),
            destination: format!("{self}.cast.>"),
        }
    }

    /// What the stream of membership records takes in.
    pub fn member_stream_subjects(&self) -> Vec<String> {
        vec![format!("{self}.mem.*")]
    }

    /// Where the stream of membership records announces them.
    pub fn member_notices(&self) -> Republish {
        Republish {
            source: format!("{self}.mem.>"),
            destination: format!("{self}.hb.>"),
        }
    }

    /// Where the event streams announce changes of ownership.
    pub fn ownership_notices(&self) -> Republish {
        Republish {
            source: format!("{self}.own.>"),
            destination: format!("{self}.rep.>"),
        }
    }

    /// What the stream of snapshot bodies takes in.
    pub fn snapshot_stream_subjects(&self) -> Vec<String> {
        vec![format!("{self}.snap.>")]
    }
}

/// A shard as it is written: no sign, no leading zero.
fn shard_number(token: &str) -> Option<ShardId> {
    let number: u16 = token.parse().ok()?;
    let canonical = token.len() == 1 || !token.starts_with(['0', '+']);
    (canonical && token != "+").then_some(ShardId(number))
}

#[cfg(test)]
mod tests {
    use super::{EventSubject, SUBJECT_BYTES_MAX};
    use crate::format::{EventPlace, Layout, LayoutKey, TakeOver};
    use crate::id::{
        GroupPart, LayoutId, Partition, Sequence, ShardId, SnapshotTag, Version, WallTime,
    };
    use crate::name::{ConsumerName, EntityId, KindName, Namespace};

    fn names() -> (Namespace, KindName, EntityId) {
        (
            Namespace::new("bank").unwrap(),
            KindName::new("account").unwrap(),
            EntityId::new("user.1").unwrap(),
        )
    }

    #[test]
    fn subjects_have_their_fixed_token_order() {
        let (ns, kind, id) = names();
        let shard = ShardId(17);
        assert_eq!(
            ns.event_subject(shard, &kind, &id),
            "bank.ev.17.account.user%2E1"
        );
        assert_eq!(ns.kind_filter(shard, &kind), "bank.ev.17.account.*");
        assert_eq!(ns.shard_filter(shard), "bank.ev.17.>");
        assert_eq!(
            ns.ownership_subject(TakeOver::Fenced, shard),
            "bank.own.f.17"
        );
        assert_eq!(
            ns.ownership_subject(TakeOver::Leased, shard),
            "bank.own.l.17"
        );
        assert_eq!(ns.barrier_subject(TakeOver::Fenced, shard), "bank.bar.f.17");
        assert_eq!(ns.index_subject(TakeOver::Leased, shard), "bank.idx.l.17");
        assert_eq!(ns.anchor_subject(Partition(3)), "bank.lay.3");
        assert_eq!(ns.layout_subject(), "bank.ctl.layout");
        assert_eq!(ns.kind_subject(&kind), "bank.ctl.kind.account");
        assert_eq!(
            ns.snapshot_subject(shard, &kind, &id, Version(12), SnapshotTag(0xab)),
            "bank.snap.17.account.user%2E1.12.000000000000000000000000000000ab"
        );
        let consumer = ConsumerName::new("balances").unwrap();
        assert_eq!(ns.checkpoint_subject(&consumer), "bank.chk.balances");
        assert_eq!(
            ns.partition_subject(&consumer, GroupPart(3)),
            "bank.grp.balances.3"
        );
        let orders = ns.group_orders_subject(&consumer);
        assert_eq!(orders, "bank.grp.balances.orders");
        let place = EventPlace {
            partition: Partition(3),
            sequence: Sequence(12),
            index: 1,
        };
        assert_eq!(
            ns.dead_letter_subject(&consumer, place),
            "bank.dlq.balances.3.12.1"
        );
        assert_eq!(ns.dead_letters_filter(&consumer), "bank.dlq.balances.>");
        for (shard, kind, id, filter) in [
            (None, None, None, "bank.ev.>"),
            (Some(shard), None, None, "bank.ev.17.>"),
            (None, Some(&kind), None, "bank.ev.*.account.*"),
            (None, None, Some(&id), "bank.ev.*.*.user%2E1"),
            (
                Some(shard),
                Some(&kind),
                Some(&id),
                "bank.ev.17.account.user%2E1",
            ),
        ] {
            assert_eq!(ns.events_filter(shard, kind, id), filter);
        }
        assert_eq!(ns.consumer_stream(), "bank_con");
        assert_eq!(ns.event_stream(Partition(3)), "bank_ev_3");
        assert_eq!(ns.control_stream(), "bank_ctl");
        assert_eq!(ns.snapshot_stream(), "bank_snap");
    }

    #[test]
    fn an_event_subject_is_read_back_in_one_form_only() {
        let (ns, kind, id) = names();
        let subject = ns.event_subject(ShardId(0), &kind, &id);
        assert_eq!(
            ns.parse_event_subject(&subject),
            Ok(EventSubject {
                shard: ShardId(0),
                kind,
                id
            })
        );
        for wrong in [
            "bank2.ev.0.account.a",
            "bank.own.f.17",
            "bank.ev.0.account",
            "bank.ev.0.account.a.b",
            "bank.ev.00.account.a",
            "bank.ev.+1.account.a",
            "bank.ev.65536.account.a",
            "bank.ev..account.a",
            "bank.ev.0.Account.a",
            "bank.ev.0.account.",
            "bank.ev.0.account.%61",
        ] {
            assert!(
                ns.parse_event_subject(wrong).is_err(),
                "{wrong:?} was taken"
            );
        }
    }

    #[test]
    fn the_longest_subject_fits_the_control_line() {
        let ns = Namespace::new(&"n".repeat(Namespace::BYTES_MAX)).unwrap();
        let kind = KindName::new(&"k".repeat(KindName::BYTES_MAX)).unwrap();
        let id = EntityId::new(&"\u{ff}".repeat(EntityId::BYTES_MAX / 2)).unwrap();
        let tag = SnapshotTag(u128::MAX);
        let longest = ns.snapshot_subject(ShardId(u16::MAX), &kind, &id, Version(u64::MAX), tag);
        assert_eq!(longest.len(), SUBJECT_BYTES_MAX);
        let event = ns.event_subject(ShardId(u16::MAX), &kind, &id);
        assert!(event.len() < longest.len());
    }

    #[test]
    fn several_streams_list_their_shards() {
        let (ns, _, _) = names();
        let one = Layout::new(LayoutId(1), LayoutKey(2), WallTime(3), 4, 1);
        assert_eq!(
            ns.event_stream_subjects(&one, Partition(0)),
            [
                "bank.ev.>",
                "bank.own.>",
                "bank.bar.>",
                "bank.idx.>",
                "bank.lay.0"
            ]
        );
        let two = Layout::new(LayoutId(1), LayoutKey(2), WallTime(3), 4, 2);
        assert_eq!(
            ns.event_stream_subjects(&two, Partition(1)),
            [
                "bank.lay.1",
                "bank.ev.1.>",
                "bank.own.*.1",
                "bank.bar.*.1",
                "bank.idx.*.1",
                "bank.ev.3.>",
                "bank.own.*.3",
                "bank.bar.*.3",
                "bank.idx.*.3",
            ]
        );
    }
}
