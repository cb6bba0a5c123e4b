//! The records of an export as lines of JSON.
//!
//! Encoded values are told as JSON where that leads back to the very same bytes, else as base64.

use crate::format::{
    Codec, CommandRecord, Commit, EventRecord, ExportHeader, ExportRecord, ExportTotals,
    ExportedAgenda, ExportedCommit, Intent, IntentPlace, KindRecord, Later, Layout, LayoutKey,
    MessageRecord, Metadata, MetadataRecord, Placement, Receiver, Selection, ShelvedReceiver,
    TakeOver, Timer, Unknown, WriteMode,
};
use crate::id::{
    CommandId, CommitId, ExportId, KindId, LayoutId, Partition, Sequence, ShardId, Version,
    WallTime,
};
use crate::name::{EntityId, KindName, Namespace, TimerName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ciborium::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the first line says it is.
const FORMAT: &str = "tenure-export";

/// A value that is nested deeper is told as base64: a reader of lines has a limit.
const DEPTH_MAX: usize = 48;

/// The last keys of the records that this program knows.
const LAYOUT_KEY_MAX: u32 = 5;
const COMMIT_KEY_MAX: u32 = 19;

/// One line.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agenda: Option<Agenda>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<CommitLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    pub(super) check: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u64,
    export: String,
    namespace: String,
    begun_ms: u64,
    layout: LayoutLine,
    kinds: Vec<KindLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    only_kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    only_entities: Vec<(String, String)>,
    ends: Vec<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutLine {
    id: String,
    key: String,
    created_ms: u64,
    streams: u16,
    /// The event stream of each shard.
    shards: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<(u32, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindLine {
    name: String,
    id: String,
    layout: String,
    mode: ModeLine,
    class: ClassLine,
    codec: CodecLine,
    placement: PlacementLine,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeLine {
    Direct,
    Owned,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClassLine {
    Fenced,
    Leased,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CodecLine {
    Cbor,
    Json,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlacementLine {
    Whole,
    Before(char),
    Shard,
    Node,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agenda {
    class: ClassLine,
    shard: u16,
    watermark: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undone: Vec<(u64, u32)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<(u64, u32, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shelved: Vec<(String, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitLine {
    kind: String,
    entity: String,
    id: String,
    stream: u16,
    sequence: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    after: u64,
    time_ms: u64,
    before: u64,
    last: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    horizon_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    commands: Vec<CommandLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventLine>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tombstone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metadata: Vec<MetadataLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    later: Option<LaterLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<(u32, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandLine {
    id: String,
    version: u64,
    outcome: Encoded,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    version: u64,
    name: String,
    schema: u16,
    data: Encoded,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetadataLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<usize>,
    first: usize,
    events: usize,
    said: Said,
}

/// What a command says of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterLine {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    armed: Vec<TimerLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cancelled: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sends: Vec<SendLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    carried: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leased: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimerLine {
    timer: String,
    due_ms: u64,
    period_ms: u64,
    name: String,
    schema: u16,
    data: Encoded,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendLine {
    kind: String,
    entity: String,
    codec: CodecLine,
    name: String,
    schema: u16,
    data: Encoded,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    commits: u64,
    events: u64,
    entities: u64,
    commands: u64,
    hash: String,
}

/// Encoded bytes; how they are told says how they are read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoded {
    Json(Value),
    Cbor(Value),
    Base64(String),
}

/// What a first line of any version has.
#[derive(Deserialize)]
struct Told {
    header: ToldVersion,
}

#[derive(Deserialize)]
struct ToldVersion {
    version: u64,
}

fn other_version(found: u64) -> Option<Wrong> {
    let supported = ExportRecord::FORMAT_VERSION;
    (found != supported).then(|| {
        format!("the export has format version {found}, this program reads {supported}: upgrade it")
    })
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a line is no record.
pub(super) type Wrong = String;

impl Line {
    /// A record, with its check.
    pub(super) fn new(record: &ExportRecord, check: u64) -> Self {
        let mut line = Self {
            check: format!("{check:016x}"),
            ..Self::default()
        };
        match record {
            ExportRecord::Header(header) => line.header = Some(Header::new(header)),
            ExportRecord::Agenda(agenda) => line.agenda = Some(Agenda::new(agenda)),
            ExportRecord::Commit(exported) => line.commit = Some(CommitLine::new(exported)),
            ExportRecord::End(totals) => line.end = Some(End::new(totals)),
        }
        line
    }

    /// What a line says. Of a line of another version it is told which.
    pub(super) fn read(line: &[u8]) -> Result<Self, Wrong> {
        serde_json::from_slice(line).map_err(|error| {
            let told: Option<Told> = serde_json::from_slice(line).ok();
            let found = told.map_or(ExportRecord::FORMAT_VERSION, |told| told.header.version);
            other_version(found).unwrap_or_else(|| error.to_string())
        })
    }

    /// The record that the line tells.
    pub(super) fn record(self) -> Result<ExportRecord, Wrong> {
        match (self.header, self.agenda, self.commit, self.end) {
            (Some(header), None, None, None) => header
                .read()
                .map(|header| ExportRecord::Header(header.into())),
            (None, Some(agenda), None, None) => agenda.read().map(ExportRecord::Agenda),
            (None, None, Some(commit), None) => commit
                .read()
                .map(|commit| ExportRecord::Commit(commit.into())),
            (None, None, None, Some(end)) => end.read().map(ExportRecord::End),
            (_, _, _, _) => Err("it is not one of header, agenda, commit and end".into()),
        }
    }
}

impl Header {
    fn new(header: &ExportHeader) -> Self {
        let layout = &header.layout;
        Self {
            format: FORMAT.into(),
            version: ExportRecord::FORMAT_VERSION,
            export: header.export.to_string(),
            namespace: header.namespace.to_string(),
            begun_ms: header.begun.0,
            layout: LayoutLine {
                id: layout.id.to_string(),
                key: format!("{:032x}", layout.key.0),
                created_ms: layout.created.0,
                streams: layout.streams,
                shards: layout.table.iter().map(|partition| partition.0).collect(),
                unknown: unknown_line(&layout.unknown),
            },
            kinds: header.kinds.iter().map(KindLine::new).collect(),
            only_kinds: texts(&header.selection.kinds),
            only_entities: header
                .selection
                .entities
                .iter()
                .map(|(kind, id)| (kind.to_string(), id.as_str().to_owned()))
                .collect(),
            ends: header.ends.iter().map(|end| end.0).collect(),
        }
    }

    fn read(self) -> Result<ExportHeader, Wrong> {
        if self.format != FORMAT {
            return Err(format!("its format is {:?}, not {FORMAT:?}", self.format));
        }
        if let Some(problem) = other_version(self.version) {
            return Err(problem);
        }
        let entities = self.only_entities.into_iter();
        let entities = entities.map(|(kind, id)| Ok((kind_name(&kind)?, entity_id(&id)?)));
        let kinds = self.only_kinds.iter().map(|kind| kind_name(kind));
        let table = self.layout.shards.into_iter().map(Partition);
        Ok(ExportHeader {
            export: ExportId(bits(&self.export)?),
            namespace: Namespace::new(&self.namespace).map_err(|error| error.to_string())?,
            begun: WallTime(self.begun_ms),
            layout: Layout {
                id: LayoutId(bits(&self.layout.id)?),
                key: LayoutKey(bits(&self.layout.key)?),
                created: WallTime(self.layout.created_ms),
                streams: self.layout.streams,
                table: table.collect(),
                unknown: unknown_of(LAYOUT_KEY_MAX, self.layout.unknown)?,
            },
            kinds: each(self.kinds, KindLine::read)?,
            selection: Selection {
                kinds: kinds.collect::<Result<_, Wrong>>()?,
                entities: entities.collect::<Result<_, Wrong>>()?,
            },
            ends: self.ends.into_iter().map(Sequence).collect(),
        })
    }
}

impl KindLine {
    fn new(kind: &KindRecord) -> Self {
        Self {
            name: kind.name.to_string(),
            id: kind.id.to_string(),
            layout: kind.layout.to_string(),
            mode: match kind.mode {
                WriteMode::Direct => ModeLine::Direct,
                WriteMode::Owned => ModeLine::Owned,
            },
            class: class_line(kind.class),
            codec: codec_line(kind.codec),
            placement: match kind.placement {
                Placement::Whole => PlacementLine::Whole,
                Placement::Before(mark) => PlacementLine::Before(mark),
                Placement::Shard => PlacementLine::Shard,
                Placement::Node => PlacementLine::Node,
            },
        }
    }

    fn read(self) -> Result<KindRecord, Wrong> {
        Ok(KindRecord {
            id: KindId(bits(&self.id)?),
            layout: LayoutId(bits(&self.layout)?),
            name: kind_name(&self.name)?,
            mode: match self.mode {
                ModeLine::Direct => WriteMode::Direct,
                ModeLine::Owned => WriteMode::Owned,
            },
            class: class_of(self.class),
            codec: codec_of(self.codec),
            placement: match self.placement {
                PlacementLine::Whole => Placement::Whole,
                PlacementLine::Before(mark) => Placement::Before(mark),
                PlacementLine::Shard => Placement::Shard,
                PlacementLine::Node => Placement::Node,
            },
            unknown: Unknown::default(),
        })
    }
}

impl Agenda {
    fn new(agenda: &ExportedAgenda) -> Self {
        let undone = agenda.undone.iter();
        let failed = agenda.failed.iter();
        let shelved = agenda.shelved.iter();
        Self {
            class: class_line(agenda.class),
            shard: agenda.shard.0,
            watermark: agenda.watermark.0,
            undone: undone.map(|it| (it.sequence.0, it.index)).collect(),
            failed: failed
                .map(|(it, cause)| (it.sequence.0, it.index, cause.clone()))
                .collect(),
            shelved: shelved
                .map(|it| (format!("{:032x}", it.receiver.0), it.after.0))
                .collect(),
        }
    }

    fn read(self) -> Result<ExportedAgenda, Wrong> {
        let place = |sequence, index| IntentPlace {
            sequence: Sequence(sequence),
            index,
        };
        let undone = self.undone.into_iter();
        let failed = self.failed.into_iter();
        Ok(ExportedAgenda {
            class: class_of(self.class),
            shard: ShardId(self.shard),
            watermark: Sequence(self.watermark),
            undone: undone
                .map(|(sequence, index)| place(sequence, index))
                .collect(),
            failed: failed
                .map(|(sequence, index, cause)| (place(sequence, index), cause))
                .collect(),
            shelved: each(self.shelved, |(receiver, after)| {
                Ok(ShelvedReceiver {
                    receiver: Receiver(bits(&receiver)?),
                    after: Sequence(after),
                })
            })?,
        })
    }
}

impl CommitLine {
    fn new(exported: &ExportedCommit) -> Self {
        let commit = &exported.commit;
        Self {
            kind: exported.kind.to_string(),
            entity: commit.entity.as_str().to_owned(),
            id: commit.id.to_string(),
            stream: exported.stream.0,
            sequence: exported.sequence.0,
            after: exported.after.0,
            time_ms: commit.time.0,
            before: commit.before.0,
            last: commit.last.0,
            horizon_ms: commit.horizon.0,
            commands: commit.commands.iter().map(CommandLine::new).collect(),
            events: commit.events.iter().map(EventLine::new).collect(),
            tombstone: commit.tombstone,
            metadata: commit.metadata.iter().map(MetadataLine::new).collect(),
            later: commit.later.as_deref().map(LaterLine::new),
            unknown: unknown_line(&commit.unknown),
        }
    }

    fn read(self) -> Result<ExportedCommit, Wrong> {
        let later = self.later.map(LaterLine::read).transpose()?;
        if later
            .as_ref()
            .is_some_and(|it| !it.has_carried(self.tombstone))
        {
            return Err("its ids of messages that go on are not those of some".into());
        }
        Ok(ExportedCommit {
            kind: kind_name(&self.kind)?,
            commit: Commit {
                id: CommitId(bits(&self.id)?),
                layout: LayoutId(0),
                kind: KindId(0),
                entity: entity_id(&self.entity)?,
                epoch: None,
                time: WallTime(self.time_ms),
                before: Version(self.before),
                last: Version(self.last),
                earlier: Arc::default(),
                snapshot: None,
                horizon: WallTime(self.horizon_ms),
                commands: each(self.commands, CommandLine::read)?,
                events: each(self.events, EventLine::read)?,
                tombstone: self.tombstone,
                metadata: each(self.metadata, MetadataLine::read)?,
                later: later.map(Box::new),
                unknown: unknown_of(COMMIT_KEY_MAX, self.unknown)?,
            },
            stream: Partition(self.stream),
            sequence: Sequence(self.sequence),
            after: Sequence(self.after),
        })
    }
}

impl CommandLine {
    fn new(command: &CommandRecord) -> Self {
        Self {
            id: command.id.to_string(),
            version: command.version.0,
            outcome: Encoded::new(&command.outcome),
        }
    }

    fn read(self) -> Result<CommandRecord, Wrong> {
        Ok(CommandRecord {
            id: command_id(&self.id)?,
            version: Version(self.version),
            outcome: self.outcome.bytes()?,
        })
    }
}

impl EventLine {
    fn new(event: &EventRecord) -> Self {
        Self {
            version: event.version.0,
            name: event.name.to_string(),
            schema: event.schema,
            data: Encoded::new(&event.data),
        }
    }

    fn read(self) -> Result<EventRecord, Wrong> {
        Ok(EventRecord {
            version: Version(self.version),
            name: self.name.into(),
            schema: self.schema,
            data: self.data.bytes()?,
        })
    }
}

impl MetadataLine {
    fn new(record: &MetadataRecord) -> Self {
        Self {
            command: record.command,
            first: record.first,
            events: record.events,
            said: Said::new(&record.metadata),
        }
    }

    fn read(self) -> Result<MetadataRecord, Wrong> {
        Ok(MetadataRecord {
            command: self.command,
            first: self.first,
            events: self.events,
            metadata: Arc::new(self.said.read()?),
        })
    }
}

impl Said {
    fn new(metadata: &Metadata) -> Self {
        let state = metadata.trace().map(|trace| trace.state().to_owned());
        Self {
            correlation: metadata.correlation_id().map(ToOwned::to_owned),
            causation: metadata.causation_id().map(ToOwned::to_owned),
            traceparent: metadata.trace().map(ToString::to_string),
            tracestate: state.filter(|state| !state.is_empty()),
            headers: metadata
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    fn read(self) -> Result<Metadata, Wrong> {
        let mut metadata = Metadata::new()
            .correlation(self.correlation.unwrap_or_default())
            .causation(self.causation.unwrap_or_default());
        if let Some(parent) = &self.traceparent {
            let read = metadata.traceparent(parent);
            metadata = read.map_err(|error| error.to_string())?;
        }
        if let Some(state) = &self.tracestate {
            let read = metadata.tracestate(state);
            metadata = read.map_err(|error| error.to_string())?;
        }
        for (name, value) in self.headers {
            metadata = metadata.header(name, value);
        }
        Ok(metadata)
    }
}

impl LaterLine {
    fn new(later: &Later) -> Self {
        let timer = |timer: &Timer| TimerLine {
            timer: timer.name.as_str().to_owned(),
            due_ms: timer.due.0,
            period_ms: timer.period_ms,
            name: timer.message.name.to_string(),
            schema: timer.message.schema,
            data: Encoded::new(&timer.message.data),
        };
        let send = |intent: &Intent| SendLine {
            kind: intent.kind.to_string(),
            entity: intent.entity.as_str().to_owned(),
            codec: codec_line(intent.codec),
            name: intent.message.name.to_string(),
            schema: intent.message.schema,
            data: Encoded::new(&intent.message.data),
            said: intent.metadata.as_deref().map(Said::new),
        };
        let cancelled = later.cancelled.iter();
        Self {
            armed: later.armed.iter().map(timer).collect(),
            cancelled: cancelled.map(|name| name.as_str().to_owned()).collect(),
            sends: later.sends.iter().map(send).collect(),
            carried: later.carried.iter().map(CommandId::to_string).collect(),
            leased: later.leased,
        }
    }

    fn read(self) -> Result<Later, Wrong> {
        Ok(Later {
            armed: each(self.armed, |timer| {
                Ok(Timer {
                    name: timer_name(&timer.timer)?,
                    due: WallTime(timer.due_ms),
                    period_ms: timer.period_ms,
                    message: message(timer.name, timer.schema, timer.data)?,
                })
            })?,
            cancelled: each(self.cancelled, |name| timer_name(&name))?,
            sends: each(self.sends, |send| {
                let said = send.said.map(Said::read).transpose()?;
                Ok(Intent {
                    kind: kind_name(&send.kind)?,
                    entity: entity_id(&send.entity)?,
                    codec: codec_of(send.codec),
                    message: message(send.name, send.schema, send.data)?,
                    metadata: said.map(Arc::new),
                })
            })?,
            carried: each(self.carried, |id| command_id(&id))?,
            leased: self.leased,
        })
    }
}

fn command_id(text: &str) -> Result<CommandId, Wrong> {
    let id: Result<CommandId, _> = text.parse();
    id.map_err(|error| error.to_string())
}

fn message(name: String, schema: u16, data: Encoded) -> Result<MessageRecord, Wrong> {
    Ok(MessageRecord {
        name: name.into(),
        schema,
        data: data.bytes()?,
    })
}

impl End {
    fn new(totals: &ExportTotals) -> Self {
        Self {
            commits: totals.commits,
            events: totals.events,
            entities: totals.entities,
            commands: totals.commands,
            hash: format!("{:032x}", totals.hash),
        }
    }

    fn read(self) -> Result<ExportTotals, Wrong> {
        Ok(ExportTotals {
            commits: self.commits,
            events: self.events,
            entities: self.entities,
            commands: self.commands,
            hash: bits(&self.hash)?,
        })
    }
}

impl Encoded {
    fn new(bytes: &Bytes) -> Self {
        // Which codec a value is in need not be known: what leads back to its bytes is right.
        let json: Option<Value> = serde_json::from_slice(bytes).ok();
        if let Some(value) = json.filter(|value| is_shallow(value, DEPTH_MAX))
            && json_bytes(&value).is_some_and(|again| again == *bytes)
        {
            return Self::Json(value);
        }
        let cbor: Option<Value> = ciborium::from_reader(&bytes[..]).ok();
        if let Some(value) = cbor.filter(|value| is_shallow(value, DEPTH_MAX))
            && let Some(text) = json_bytes(&value)
            && let Ok(read) = serde_json::from_slice::<Value>(&text)
            && cbor_bytes(&read).is_some_and(|again| again == *bytes)
        {
            return Self::Cbor(value);
        }
        Self::Base64(BASE64.encode(bytes))
    }

    fn bytes(self) -> Result<Bytes, Wrong> {
        let bytes = match self {
            Self::Json(value) => json_bytes(&value),
            Self::Cbor(value) => cbor_bytes(&value),
            Self::Base64(text) => BASE64.decode(text).ok(),
        };
        let bytes = bytes.ok_or_else(|| Wrong::from("a value cannot be read"))?;
        Ok(bytes.into())
    }
}

fn json_bytes(value: &Value) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn cbor_bytes(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).ok()?;
    Some(bytes)
}

fn is_shallow(value: &Value, depth_max: usize) -> bool {
    let Some(below) = depth_max.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(items) => items.iter().all(|item| is_shallow(item, below)),
        Value::Map(entries) => {
            let mut entries = entries.iter();
            entries.all(|(key, value)| is_shallow(key, below) && is_shallow(value, below))
        }
        Value::Tag(_, value) => is_shallow(value, below),
        Value::Integer(_)
        | Value::Bytes(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Bool(_)
        | Value::Null
        | _ => true,
    }
}

fn each<L, T>(lines: Vec<L>, read: impl FnMut(L) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    lines.into_iter().map(read).collect()
}

fn texts(names: &[KindName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn class_line(class: TakeOver) -> ClassLine {
    match class {
        TakeOver::Fenced => ClassLine::Fenced,
        TakeOver::Leased => ClassLine::Leased,
    }
}

fn class_of(class: ClassLine) -> TakeOver {
    match class {
        ClassLine::Fenced => TakeOver::Fenced,
        ClassLine::Leased => TakeOver::Leased,
    }
}

fn codec_line(codec: Codec) -> CodecLine {
    match codec {
        Codec::Cbor => CodecLine::Cbor,
        Codec::Json => CodecLine::Json,
    }
}

fn codec_of(codec: CodecLine) -> Codec {
    match codec {
        CodecLine::Cbor => Codec::Cbor,
        CodecLine::Json => Codec::Json,
    }
}

fn unknown_line(unknown: &Unknown) -> Vec<(u32, String)> {
    let fields = unknown.0.iter();
    fields
        .map(|(key, value)| (*key, BASE64.encode(value)))
        .collect()
}

/// Fields of a newer writer, which have keys beyond those that are known.
fn unknown_of(known: u32, fields: Vec<(u32, String)>) -> Result<Unknown, Wrong> {
    let keys = fields.iter().map(|(key, _)| *key);
    let rising = std::iter::once(known).chain(keys);
    if !rising.is_sorted_by(|a, b| a < b) {
        return Err("the keys of its unknown fields do not rise".into());
    }
    let read = |(key, value): (u32, String)| match BASE64.decode(value) {
        Ok(value) => Ok((key, Bytes::from(value))),
        Err(error) => Err(error.to_string()),
    };
    each(fields, read).map(Unknown)
}

/// 128 bits in 32 hexadecimal digits.
fn bits(text: &str) -> Result<u128, Wrong> {
    match u128::from_str_radix(text, 16) {
        Ok(bits) if text.len() == 32 && !text.starts_with('+') => Ok(bits),
        Ok(_) | Err(_) => Err(format!("{text:?} has not 32 hexadecimal digits")),
    }
}

fn kind_name(name: &str) -> Result<KindName, Wrong> {
    KindName::new(name).map_err(|error| error.to_string())
}

fn entity_id(id: &str) -> Result<EntityId, Wrong> {
    EntityId::new(id).map_err(|error| error.to_string())
}

fn timer_name(name: &str) -> Result<TimerName, Wrong> {
    TimerName::new(name).map_err(|error| error.to_string())
}
