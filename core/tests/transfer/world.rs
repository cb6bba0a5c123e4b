//! The machines of a transfer on the model store, with what becomes of each request.

use super::drawn::{Done, Step, kinds};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::format::{
    Commit, ExportHeader, ExportRecord, ExportTotals, Import, IntentPlace, KindRecord, Layout,
    LayoutKey, Receiver, Selection, ShardIndex, ShelvedReceiver, TakeOver, Unknown, WriteMode,
};
use tenure_core::id::{
    CommitId, ExportId, LayoutId, OpId, Partition, Sequence, ShardId, Version, WallTime,
};
use tenure_core::log::Shape;
use tenure_core::name::Namespace;
use tenure_core::port::{
    Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings, Subject,
};
use tenure_core::step::{Dice, Outcome, SilentProbe, Span};
use tenure_core::transfer::{
    Exporter, ExporterEffect, ExporterInput, ImportPlan, Importer, ImporterEffect, ImporterInput,
    Resumed, Source, TransferFault,
};
use tenure_core::{Cx, Effects, Limits, Machine, Time};
use tenure_mem::store::{Store, StoreConfig};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// The so manieth that waits is answered.
    Answered(u8),
    /// The oldest one never arrives.
    Lost,
    /// The oldest one arrives, and its answer does not.
    Unheard,
    /// The oldest one is refused for now.
    Refused,
    /// The oldest one counts as lost, and arrives at the end.
    Late,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) now: Time,
    fates: VecDeque<Fate>,
    late: Vec<StoreRequest>,
    layouts: BTreeMap<&'static str, Layout>,
    pub(crate) lines: Vec<String>,
}

type Waiting = VecDeque<(OpId, StoreRequest)>;

impl World {
    pub(crate) fn new(fates: Vec<Fate>) -> Self {
        Self {
            store: Store::new(StoreConfig::default()),
            now: Time::ZERO,
            fates: fates.into(),
            late: Vec::new(),
            layouts: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// What becomes of the next requests.
    pub(crate) fn fate(&mut self, fates: Vec<Fate>) {
        self.fates = fates.into();
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        self.store
            .apply(WallTime(self.now.as_nanos() / 1_000_000), request)
    }

    fn publish(
        &mut self,
        stream: &str,
        subject: Subject,
        payload: Bytes,
        rollup: Rollup,
    ) -> Sequence {
        let reply = self.apply(&StoreRequest::Publish(Publish {
            stream: stream.into(),
            subject,
            expect: Expect::Nothing,
            rollup,
            dedup: None,
            ttl_s: None,
            payload,
        }));
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => ack.sequence,
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => panic!("{reply:?}"),
        }
    }

    fn make(&mut self, name: &'static str, (id, shape): (u128, (u16, u16))) {
        let (shards, streams) = shape;
        let layout = Layout::new(LayoutId(id), LayoutKey(9), WallTime(1), shards, streams);
        let ns = Namespace::new(name).unwrap();
        for partition in layout.partitions() {
            let stream = ns.event_stream(partition);
            let subjects = ns.event_stream_subjects(&layout, partition);
            let settings = StreamSettings::event_log(stream.clone(), subjects, 1);
            self.apply(&StoreRequest::CreateStream(settings));
            let anchor = ns.anchor_subject(partition);
            self.publish(&stream, anchor, Bytes::new(), Rollup::No);
        }
        let control = ns.control_stream();
        let settings = StreamSettings::control(control.clone(), ns.control_stream_subjects(), 1);
        self.apply(&StoreRequest::CreateStream(settings));
        for kind in kinds(layout.id) {
            let subject = ns.kind_subject(&kind.name);
            self.publish(&control, subject, kind.encode(), Rollup::No);
        }
        self.layouts.insert(name, layout);
    }

    pub(crate) fn source(&self, name: &'static str) -> Source {
        let layout = self.layouts[name].clone();
        let shape = Shape {
            replicated: false,
            payload_bytes_max: 1 << 20,
        };
        Source {
            namespace: Namespace::new(name).unwrap(),
            shapes: vec![shape; usize::from(layout.streams)],
            layout,
            limits: Limits::default(),
            patience: Span::from_secs(3_600),
        }
    }

    /// Stores what nodes would have stored.
    pub(crate) fn fill(
        &mut self,
        name: &'static str,
        shape: (u16, u16),
        steps: &[Step],
        indexes: &[Done],
    ) {
        self.make(name, (1, shape));
        let layout = self.layouts[name].clone();
        let ns = Namespace::new(name).unwrap();
        let mut entities: BTreeMap<(usize, usize), (Version, Vec<Sequence>)> = BTreeMap::new();
        let mut sends: BTreeMap<(TakeOver, ShardId), Vec<(IntentPlace, Receiver)>> =
            BTreeMap::new();
        for (n, step) in steps.iter().enumerate() {
            let (version, earlier) = entities.entry((step.entity, step.kind)).or_default();
            let commit = step.commit(n, layout.id, (*version, earlier.as_slice()));
            let kind = &kinds(layout.id)[step.kind];
            let shard = layout.shard_of(kind.placement, &commit.entity);
            let stream = ns.event_stream(layout.stream_of(shard));
            let subject = ns.event_subject(shard, &kind.name, &commit.entity);
            let rollup = match step.tombstone {
                true => Rollup::Subject,
                false => Rollup::No,
            };
            *version = commit.last;
            let sequence = self.publish(&stream, subject, commit.encode(), rollup);
            earlier.insert(0, sequence);
            let later = commit.later.as_ref();
            for (index, intent) in (0..).zip(later.map_or(&[][..], |later| &later.sends)) {
                let place = IntentPlace { sequence, index };
                let receiver = Receiver::of(layout.key, &intent.kind, &intent.entity);
                let sends = sends.entry((kind.class, shard)).or_default();
                sends.push((place, receiver));
            }
        }
        for done in indexes {
            for shard in (0..layout.shards()).map(ShardId) {
                let stream = ns.event_stream(layout.stream_of(shard));
                let last = self.last(&stream).0;
                let watermark = Sequence(last * u64::from(done.up_to) / 100);
                let all = sends.get(&(done.class, shard)).cloned().unwrap_or_default();
                let below = all.iter().filter(|(it, _)| it.sequence <= watermark);
                let last = below.clone().next_back().filter(|_| done.shelved);
                let shelved = last.map(|(_, receiver)| ShelvedReceiver {
                    receiver: *receiver,
                    after: Sequence(watermark.0 / 2),
                });
                let undone = below.map(|(place, _)| place).enumerate();
                let undone = undone.filter(|(n, _)| n % usize::from(done.undone_every) == 0);
                let undone: Vec<IntentPlace> = undone.map(|(_, place)| *place).collect();
                let (undone, failed) = match done.failed {
                    true => (Vec::new(), undone),
                    false => (undone, Vec::new()),
                };
                let failed = failed
                    .into_iter()
                    .map(|place| (place, "no ears".to_owned()));
                let index = ShardIndex {
                    layout: layout.id,
                    watermark,
                    horizon: None,
                    timers: Vec::new(),
                    undone,
                    failed: failed.collect(),
                    shelved: shelved.into_iter().collect(),
                    unknown: Unknown::default(),
                };
                let subject = ns.index_subject(done.class, shard);
                self.publish(&stream, subject, index.encode(), Rollup::Subject);
            }
        }
    }

    fn last(&mut self, stream: &str) -> Sequence {
        let stream = stream.into();
        let reply = self.apply(&StoreRequest::StreamInfo { stream });
        let Outcome::Done(StoreDone::Stream(info)) = reply else {
            panic!("{reply:?}")
        };
        info.last
    }

    /// The records of an export.
    pub(crate) fn export(&mut self, name: &'static str, selection: Selection) -> Vec<ExportRecord> {
        let source = self.source(name);
        let exporter = Exporter::new(source, selection, (ExportId(5), WallTime(77)));
        self.run_export(exporter)
    }

    /// The records that follow those of a file.
    pub(crate) fn resume(
        &mut self,
        name: &'static str,
        kept: &[ExportRecord],
    ) -> Vec<ExportRecord> {
        let source = self.source(name);
        let Some(ExportRecord::Header(header)) = kept.first() else {
            panic!("a file begins with its header")
        };
        let mut resumed = Resumed::new(&source, ExportHeader::clone(header));
        for record in kept {
            if let ExportRecord::Commit(exported) = record {
                resumed.take(exported);
            }
        }
        self.run_export(Exporter::resume(source, resumed))
    }

    fn run_export(&mut self, mut exporter: Exporter) -> Vec<ExportRecord> {
        let mut waiting = Waiting::new();
        let mut records = Vec::new();
        let mut inputs = VecDeque::from([ExporterInput::Begin]);
        loop {
            let input = match inputs.pop_front() {
                Some(input) => input,
                None => match self.answer(&mut waiting) {
                    Some((op, reply)) => ExporterInput::Stored { op, reply },
                    None => {
                        self.wait(exporter.next_deadline().map(|it| it.at));
                        ExporterInput::Tick
                    }
                },
            };
            for effect in self.step(&mut exporter, input) {
                match effect {
                    ExporterEffect::Store { op, request } => waiting.push_back((op, request)),
                    ExporterEffect::Head { header, agendas } => {
                        records.push(ExportRecord::Header(header));
                        records.extend(agendas.into_iter().map(ExportRecord::Agenda));
                    }
                    ExporterEffect::Page { leg, commits } => {
                        let commits = commits.into_iter();
                        records.extend(commits.map(|it| ExportRecord::Commit(it.into())));
                        inputs.push_back(ExporterInput::Taken { leg });
                    }
                    ExporterEffect::Finished(totals) => {
                        records.push(ExportRecord::End(totals));
                        return records;
                    }
                    ExporterEffect::Failed(fault) => panic!("{fault}"),
                }
            }
        }
    }

    /// What the opening of a namespace for an import leaves.
    pub(crate) fn begin_import(
        &mut self,
        name: &'static str,
        shape: (u16, u16),
        records: &[ExportRecord],
    ) {
        self.make(name, (2, shape));
        let Some(ExportRecord::Header(header)) = records.first() else {
            panic!("a file begins with its header")
        };
        let import = Import {
            layout: LayoutId(2),
            export: header.export,
            source: header.namespace.clone(),
            begun: WallTime(1),
            done: None,
            unknown: Unknown::default(),
        };
        let ns = Namespace::new(name).unwrap();
        let subject = ns.import_subject();
        self.publish(&ns.control_stream(), subject, import.encode(), Rollup::No);
    }

    /// Imports records; a run that ends after so many answers has no result.
    pub(crate) fn import(
        &mut self,
        name: &'static str,
        records: &[ExportRecord],
        entities_max: usize,
        ends_after: Option<usize>,
    ) -> Result<ExportTotals, Option<TransferFault>> {
        let target = self.source(name);
        let Some(ExportRecord::Header(header)) = records.first() else {
            panic!("a file begins with its header")
        };
        let stored: Vec<KindRecord> = kinds(target.layout.id);
        let fresh = ends_after.is_some();
        let mut importer = Importer::new(ImportPlan {
            kinds: stored.into_iter().map(|it| (it.name.clone(), it)).collect(),
            from: header.layout.clone(),
            import: Import {
                layout: target.layout.id,
                export: header.export,
                source: header.namespace.clone(),
                begun: WallTime(1),
                done: None,
                unknown: Unknown::default(),
            },
            target,
            fresh,
            entities_max,
            window_max: 8,
            window_bytes_max: 1 << 20,
        });
        let mut waiting = Waiting::new();
        let mut records = records[1..].iter();
        let mut answers = 0;
        loop {
            let input = match importer.has_room().then(|| records.next()).flatten() {
                Some(ExportRecord::Agenda(agenda)) => ImporterInput::Agenda(agenda.clone()),
                Some(ExportRecord::Commit(commit)) => ImporterInput::Commit(commit.clone()),
                Some(ExportRecord::End(_)) => ImporterInput::End { wall: WallTime(99) },
                Some(_) | None => match self.answer(&mut waiting) {
                    Some((op, reply)) => {
                        answers += 1;
                        if ends_after.is_some_and(|after| answers > after) {
                            self.late
                                .extend(waiting.into_iter().map(|(_, request)| request));
                            return Err(None);
                        }
                        ImporterInput::Stored { op, reply }
                    }
                    None => {
                        self.wait(importer.next_deadline().map(|it| it.at));
                        ImporterInput::Tick
                    }
                },
            };
            for effect in self.step(&mut importer, input) {
                match effect {
                    ImporterEffect::Store { op, request } => waiting.push_back((op, request)),
                    ImporterEffect::Finished(totals) => {
                        // What was on its way arrives at last, and changes nothing.
                        for request in std::mem::take(&mut self.late) {
                            self.apply(&request);
                        }
                        return Ok(totals);
                    }
                    ImporterEffect::Failed(fault) => return Err(Some(fault)),
                }
            }
        }
    }

    fn step<M: Machine>(&mut self, machine: &mut M, input: M::Input) -> Vec<M::Effect> {
        let mut effects = Effects::new(1 << 16);
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(3),
            probe: &mut SilentProbe,
        };
        machine.step(&mut cx, input, &mut effects);
        effects.drain().collect()
    }

    fn wait(&mut self, deadline: Option<Time>) {
        let at = deadline.expect("a machine that waits for nobody has a deadline");
        self.now = self.now.max(at);
    }

    /// The next answer, by fate.
    fn answer(&mut self, waiting: &mut Waiting) -> Option<(OpId, StoreReply)> {
        if waiting.is_empty() {
            return None;
        }
        let fate = self.fates.pop_front().unwrap_or(Fate::Answered(0));
        let at = match fate {
            Fate::Answered(n) => usize::from(n) % waiting.len(),
            Fate::Lost | Fate::Unheard | Fate::Refused | Fate::Late => 0,
        };
        let (op, request) = waiting.remove(at)?;
        let reply = match fate {
            Fate::Answered(_) => self.apply(&request),
            Fate::Lost => Outcome::Unknown,
            Fate::Unheard => {
                self.apply(&request);
                Outcome::Unknown
            }
            Fate::Refused => Outcome::Refused(Refused::Overloaded),
            Fate::Late => {
                self.late.push(request.clone());
                Outcome::Unknown
            }
        };
        let told = match &reply {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Refused(refused) => refused.to_string(),
            Outcome::Unknown => "nobody knows".to_owned(),
        };
        self.lines.push(format!("{}: {told}", shown(&request)));
        Some((op, reply))
    }

    pub(crate) fn is_marked_done(&mut self, name: &'static str) {
        let ns = Namespace::new(name).unwrap();
        let reply = self.apply(&StoreRequest::Latest {
            stream: ns.control_stream(),
            subjects: vec![ns.import_subject()],
        });
        let Outcome::Done(StoreDone::Latest(proof)) = reply else {
            panic!("{reply:?}")
        };
        let record = Import::decode(&proof.messages[0].payload).unwrap();
        assert_eq!(record.done, Some(WallTime(99)));
    }

    /// The messages that are not done, by the ids of their commits.
    fn undone(&self, records: &[ExportRecord]) -> BTreeSet<(CommitId, u32, Option<String>)> {
        let Some(ExportRecord::Header(header)) = records.first() else {
            panic!("a file begins with its header")
        };
        let mut agendas = BTreeMap::new();
        let mut undone = BTreeSet::new();
        for record in records {
            match record {
                ExportRecord::Agenda(agenda) => {
                    agendas.insert((agenda.class, agenda.shard), agenda);
                }
                ExportRecord::Commit(exported) => {
                    let all = kinds(header.layout.id);
                    let kind = all.iter().find(|kind| kind.name == exported.kind).unwrap();
                    if kind.mode == WriteMode::Direct {
                        continue;
                    }
                    let entity = &exported.commit.entity;
                    let shard = header.layout.shard_of(kind.placement, entity);
                    let agenda = agendas.get(&(kind.class, shard));
                    let later = exported.commit.later.as_ref();
                    let sends = later.map_or(&[][..], |later| &later.sends);
                    for (index, intent) in (0..).zip(sends) {
                        let sequence = exported.sequence;
                        let place = IntentPlace { sequence, index };
                        let id = exported.commit.id;
                        match agenda.filter(|agenda| sequence <= agenda.watermark) {
                            None => drop(undone.insert((id, index, None))),
                            Some(agenda) if agenda.undone.contains(&place) => {
                                undone.insert((id, index, None));
                            }
                            Some(agenda) => {
                                let mut failed = agenda.failed.iter();
                                let to = (&intent.kind, &intent.entity);
                                let to = Receiver::of(header.layout.key, to.0, to.1);
                                let mut shelved = agenda.shelved.iter();
                                if let Some((_, cause)) = failed.find(|(at, _)| *at == place) {
                                    undone.insert((id, index, Some(cause.clone())));
                                } else if shelved.any(|it| it.receiver == to && sequence > it.after)
                                {
                                    undone.insert((id, index, None));
                                }
                            }
                        }
                    }
                }
                ExportRecord::Header(_) | ExportRecord::End(_) | _ => {}
            }
        }
        undone
    }

    pub(crate) fn agrees_on_what_is_undone(
        &self,
        (_, old): (&str, &[ExportRecord]),
        (name, new): (&'static str, &[ExportRecord]),
    ) {
        assert_eq!(self.undone(old), self.undone(new));
        // The first owner need not read what was imported: the indexes take all of it in.
        let commits = new.iter().filter_map(|record| match record {
            ExportRecord::Commit(exported) => Some(exported),
            ExportRecord::Header(_) | ExportRecord::Agenda(_) | ExportRecord::End(_) | _ => None,
        });
        let layout = &self.layouts[name];
        for exported in commits {
            let all = kinds(layout.id);
            let kind = all.iter().find(|kind| kind.name == exported.kind).unwrap();
            if kind.mode == WriteMode::Direct {
                continue;
            }
            let shard = layout.shard_of(kind.placement, &exported.commit.entity);
            let taken_in = new.iter().any(|record| match record {
                ExportRecord::Agenda(agenda) => {
                    (agenda.class, agenda.shard) == (kind.class, shard)
                        && agenda.watermark >= exported.sequence
                }
                ExportRecord::Header(_) | ExportRecord::Commit(_) | ExportRecord::End(_) | _ => {
                    false
                }
            });
            assert!(taken_in, "{exported:?}");
        }
    }

    /// Each commit lists the one before it and as many before that as a load wants.
    pub(crate) fn chains_are_whole(&mut self, name: &'static str) {
        let ns = Namespace::new(name).unwrap();
        let layout = self.layouts[name].clone();
        let mut chains: BTreeMap<Subject, Vec<Sequence>> = BTreeMap::new();
        for partition in layout.partitions() {
            let messages = self.all(&ns, partition);
            for (sequence, subject, payload) in messages {
                let commit = Commit::decode(&payload).unwrap();
                let chain = chains.entry(subject).or_default();
                if commit.tombstone {
                    chain.clear();
                }
                let listed: Vec<Sequence> = chain.iter().copied().take(64).collect();
                assert_eq!(*commit.earlier, listed, "{commit:?}");
                assert_eq!((commit.layout, commit.snapshot), (layout.id, None));
                chain.insert(0, sequence);
            }
        }
    }

    fn all(&mut self, ns: &Namespace, partition: Partition) -> Vec<(Sequence, Subject, Bytes)> {
        let reply = self.apply(&StoreRequest::Scan {
            stream: ns.event_stream(partition),
            filter: ns.events_filter(None, None, None),
            from: Sequence(1),
            messages_max: 1_000,
        });
        match reply {
            Outcome::Done(StoreDone::Page(page)) => {
                let messages = page.messages.into_iter();
                messages
                    .map(|it| (it.sequence, it.subject, it.payload))
                    .collect()
            }
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => Vec::new(),
        }
    }
}

fn shown(request: &StoreRequest) -> String {
    match request {
        StoreRequest::Publish(publish) => {
            let after = match &publish.expect {
                Expect::OwnLast(last) => format!(" after #{last}"),
                Expect::Nothing | Expect::Fence(_) | Expect::StreamLast(_) => String::new(),
            };
            format!("publish {}{after}", publish.subject)
        }
        StoreRequest::Latest { subjects, .. } => {
            let subjects: Vec<&str> = subjects.iter().map(Subject::as_str).collect();
            format!("last of {}", subjects.join(", "))
        }
        StoreRequest::Scan { filter, from, .. } => format!("scan {filter} from #{from}"),
        StoreRequest::StreamInfo { stream } => format!("look at {stream}"),
        StoreRequest::Batch { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => request.name().to_owned(),
    }
}
