//! Random requests from a small alphabet of streams and subjects, so that they often meet.

use bytes::Bytes;
use tenure_core::id::{BatchId, Sequence, WallTime};
use tenure_core::port::{
    ConsumerSettings, Discard, Expect, Fence, Publish, Republish, Rollup, Source, Start, Storage,
    StoreRequest, StreamName, StreamSettings, Subject,
};
use tenure_core::step::Span;
use tenure_mem::store::Store;

/// A small generator of pseudo-random numbers (SplitMix64): a seed gives the same run.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in so many cases of a thousand.
    pub(crate) fn permille(&mut self, cases: u64) -> bool {
        self.below(1_000) < cases
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// The streams of one round. Each round has its own, so that they stay small.
#[derive(Clone, Debug)]
pub(crate) struct Alphabet {
    /// An event stream, a bucket of heartbeats (in every other round a stream of snapshots, without
    /// markers), a stream that takes little, and one that forgets.
    pub(crate) streams: Vec<StreamSettings>,
    round: u64,
    replicas: u32,
    bodies: u64,
}

const EVENTS: usize = 0;
const BUCKET: usize = 1;
const NARROW: usize = 2;
const FORGETFUL: usize = 3;

/// A subject that no stream takes in.
const NOBODYS: &str = "nobody.takes.this";

/// How many subjects of each stream are used.
const SUBJECTS: u64 = 4;

impl Alphabet {
    pub(crate) fn new(round: u64, replicas: u32) -> Self {
        let settings = |letter: &str| settings(&format!("{letter}{round}"), replicas);
        let bucket = StreamSettings {
            allow_ttl: true,
            marker_ttl_s: 2,
            messages_per_subject_max: 1,
            republish: Some(Republish {
                source: ">".into(),
                destination: "said.>".into(),
            }),
            ..settings("B")
        };
        let bucket = match round % 2 {
            0 => bucket,
            _ => StreamSettings {
                allow_atomic: true,
                ..StreamSettings::snapshots(bucket.name, bucket.subjects, replicas)
            },
        };
        let narrow = StreamSettings {
            messages_max: 12,
            message_bytes_max: 400,
            allow_rollup: false,
            allow_direct: false,
            allow_atomic: round.is_multiple_of(2),
            ..settings("C")
        };
        let forgetful = StreamSettings {
            storage: Storage::Memory,
            discard: Discard::Old,
            messages_max: 9,
            messages_per_subject_max: 4,
            ..settings("D")
        };
        let mut streams = vec![settings("A"), bucket, narrow, forgetful];
        if round % 3 == 1 {
            for settings in &mut streams[NARROW..] {
                (settings.messages_max, settings.bytes_max) = (-1, 1_500);
            }
        }
        Self {
            streams,
            round,
            replicas,
            bodies: 0,
        }
    }

    /// One request. Half of what it expects holds in `store`, a state that may be.
    pub(crate) fn request(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        match random.below(100) {
            0..46 => StoreRequest::Publish(self.publish(random, store)),
            46..62 => self.batch(random, store),
            62..71 => self.latest(random),
            71..81 => self.message(random, store),
            81..90 => self.scan(random, store),
            90..93 => StoreRequest::CreateStream(self.creation(random)),
            93..95 => StoreRequest::StreamInfo {
                stream: self.stream(random),
            },
            95 => StoreRequest::Capabilities,
            _ => self.of_consumer(random, store),
        }
    }

    /// Something about a consumer, of which each round has a few.
    fn of_consumer(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        let stream = self.stream(random);
        let name = match random.below(10) {
            0 => "a.b".to_owned(),
            _ => format!("c{}", random.below(2)),
        };
        let is_there = {
            let mut there = store.consumers(WallTime(0), &stream);
            there.any(|known| known == name) || random.permille(200)
        };
        match random.below(20) {
            0..4 => StoreRequest::OpenConsumer(self.consumer(stream, &name, random, store)),
            4..17 if !is_there => {
                StoreRequest::OpenConsumer(self.consumer(stream, &name, random, store))
            }
            4..17 => StoreRequest::Fetch {
                stream,
                consumer: name.into(),
                messages_max: *random.pick(&[0, 1, 2, 5, 5, 100, 100]),
                bytes_max: *random.pick(&[0, 5, 1 << 20, 1 << 20]),
                wait: Span::from_millis(200),
            },
            _ => StoreRequest::CloseConsumer {
                stream,
                consumer: name.into(),
            },
        }
    }

    fn consumer(
        &self,
        stream: StreamName,
        name: &str,
        random: &mut Random,
        store: &Store,
    ) -> ConsumerSettings {
        let home = self.home(&stream);
        let all: Subject = format!("{}.>", stream.to_lowercase()).into();
        let filters = match random.below(10) {
            0..5 => vec![all],
            5..7 => vec![self.subject(home, random)],
            // Two that are the same are refused.
            7..9 => vec![self.subject(home, random), self.subject(home, random)],
            _ => vec![format!("{}.*", stream.to_lowercase()).into(), all],
        };
        let from = match random.below(6) {
            0 => Start::New,
            1 => Start::Time(WallTime(0)),
            // Later than all that will be stored.
            2 => Start::Time(WallTime(9_000_000_000_000)),
            _ => Start::Sequence(Sequence(random.below(store.last(&stream).0 + 3))),
        };
        ConsumerSettings {
            stream,
            name: name.into(),
            filters,
            from,
            idle: Span::from_secs(3_600),
        }
    }

    /// Requests to ask at once.
    pub(crate) fn burst(
        &mut self,
        count: u64,
        random: &mut Random,
        store: &Store,
    ) -> Vec<StoreRequest> {
        let mut burst: Vec<_> = (0..count).map(|_| self.timeless(random, store)).collect();
        if random.permille(100) {
            self.bodies += 1;
            let id = format!("twin{}", self.bodies);
            for request in &mut burst {
                match request {
                    StoreRequest::Publish(publish) => publish.dedup = Some(id.clone()),
                    StoreRequest::Batch { messages, .. } => messages[0].dedup = Some(id.clone()),
                    StoreRequest::Latest { .. }
                    | StoreRequest::Get { .. }
                    | StoreRequest::Scan { .. }
                    | StoreRequest::CreateStream(_)
                    | StoreRequest::StreamInfo { .. }
                    | StoreRequest::Capabilities
                    | StoreRequest::OpenConsumer(_)
                    | StoreRequest::Fetch { .. }
                    | StoreRequest::CloseConsumer { .. } => {}
                }
            }
        }
        burst
    }

    /// One request that touches nothing whose time can be over, and no consumer, which moves on by what
    /// it is asked for before it is fetched, for what is asked at once.
    fn timeless(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        loop {
            let request = self.request(random, store);
            let timed = match &request {
                StoreRequest::Publish(publish) => publish.ttl_s.is_some(),
                StoreRequest::Batch { messages, .. } => {
                    messages.len() > 10 || messages.iter().any(|publish| publish.ttl_s.is_some())
                }
                StoreRequest::CreateStream(_)
                | StoreRequest::OpenConsumer(_)
                | StoreRequest::Fetch { .. }
                | StoreRequest::CloseConsumer { .. } => true,
                StoreRequest::Latest { .. }
                | StoreRequest::Get { .. }
                | StoreRequest::Scan { .. }
                | StoreRequest::StreamInfo { .. }
                | StoreRequest::Capabilities => false,
            };
            if !timed {
                return request;
            }
        }
    }

    fn publish(&mut self, random: &mut Random, store: &Store) -> Publish {
        let home = *random.pick(&[EVENTS, EVENTS, EVENTS, BUCKET, BUCKET, NARROW, FORGETFUL]);
        let stray = random.permille(30);
        self.publish_to(home, stray, random, store)
    }

    fn publish_to(
        &mut self,
        home: usize,
        elsewhere: bool,
        random: &mut Random,
        store: &Store,
    ) -> Publish {
        let subject = if !elsewhere && random.permille(5) {
            format!("{}.*", self.streams[home].name.to_lowercase()).into()
        } else if elsewhere {
            let other = usize::try_from(random.below(4)).unwrap();
            if random.permille(500) {
                NOBODYS.into()
            } else {
                self.subject(other, random)
            }
        } else {
            self.subject(home, random)
        };
        let name = self.streams[home].name.clone();
        let expect = match random.below(100) {
            0..30 => Expect::Nothing,
            30..70 => Expect::OwnLast(near(store.last_of(&name, &subject), random)),
            70..90 => {
                let fence = self.subject(home, random);
                let sequence = near(store.last_of(&name, &fence), random);
                Expect::Fence(Fence {
                    subject: fence,
                    sequence,
                })
            }
            _ => {
                let last = store.last(&name).0 + random.below(3);
                Expect::StreamLast(Sequence(last.saturating_sub(random.below(2))))
            }
        };
        let rollup = match random.below(100) {
            0..10 => Rollup::Subject,
            10..17 => Rollup::Purge,
            _ => Rollup::No,
        };
        let dedup = random
            .permille(150)
            .then(|| format!("id{}", random.below(12)));
        let ttl_permille = if home == BUCKET { 250 } else { 15 };
        let ttl = u32::try_from(random.below(4)).unwrap();
        let ttl_s = random.permille(ttl_permille).then_some(ttl);
        let payload = self.payload(home, random);
        let stream = if random.permille(20) {
            self.stream(random)
        } else {
            name
        };
        Publish {
            stream,
            subject,
            expect,
            rollup,
            dedup,
            ttl_s,
            payload,
        }
    }

    fn payload(&mut self, home: usize, random: &mut Random) -> Bytes {
        self.bodies += 1;
        let mut body = format!("{}", self.bodies).into_bytes();
        if home == NARROW && random.permille(100) {
            body.resize(500, b'.');
        } else if random.permille(3) {
            body.resize((1 << 20) + 1, b'.');
        }
        body.into()
    }

    fn batch(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        let home = *random.pick(&[EVENTS, EVENTS, EVENTS, EVENTS, BUCKET, NARROW, FORGETFUL]);
        let count = if random.permille(20) {
            1_001
        } else {
            1 + random.below(5)
        };
        let named = if random.permille(20) {
            self.stream(random)
        } else {
            self.streams[home].name.clone()
        };
        let messages = (0..count)
            .map(|n| {
                // Where a batch's first message is refused and its last one goes elsewhere, two
                // streams answer, and which answer comes first is chance.
                let stray = n > 0 && home != NARROW && count < 10 && random.permille(30);
                let mut publish = match count {
                    1_001 => message(&named, &self.subject(home, random)),
                    _ => self.publish_to(home, stray, random, store),
                };
                if home == NARROW && n > 0 && n + 1 == count && random.permille(150) {
                    publish.subject = NOBODYS.into();
                }
                match random.below(200) {
                    0 if count < 10 => publish,
                    _ => Publish {
                        stream: named.clone(),
                        ..publish
                    },
                }
            })
            .collect();
        let id = BatchId(u128::from(random.next()) << 64 | u128::from(random.next()));
        StoreRequest::Batch { id, messages }
    }

    fn latest(&mut self, random: &mut Random) -> StoreRequest {
        let stream = self.stream(random);
        let home = self.home(&stream);
        let count = if random.permille(20) {
            0
        } else {
            1 + random.below(4)
        };
        let subjects = (0..count).map(|_| self.subject(home, random)).collect();
        StoreRequest::Latest { stream, subjects }
    }

    fn message(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        let stream = self.stream(random);
        let sequence = Sequence(random.below(store.last(&stream).0 + 3));
        let source = *random.pick(&[Source::Replica, Source::Leader]);
        StoreRequest::Get {
            stream,
            sequence,
            source,
        }
    }

    fn scan(&mut self, random: &mut Random, store: &Store) -> StoreRequest {
        let stream = self.stream(random);
        let home = self.home(&stream);
        let filter = match random.below(4) {
            0 => format!("{}.>", stream.to_lowercase()).into(),
            1 => format!("{}.*", stream.to_lowercase()).into(),
            2 => "nobody.>".into(),
            _ => self.subject(home, random),
        };
        let from = Sequence(random.below(store.last(&stream).0 + 3));
        let messages_max = *random.pick(&[0, 1, 1, 2, 2, 5, 5, 1_000, 1_000]);
        StoreRequest::Scan {
            stream,
            filter,
            from,
            messages_max,
        }
    }

    fn creation(&mut self, random: &mut Random) -> StreamSettings {
        let known = random.pick(&self.streams).clone();
        let fresh = settings(&format!("X{}", self.round), self.replicas);
        match random.below(8) {
            0 | 1 => known,
            2 => StreamSettings {
                allow_direct: !known.allow_direct,
                ..known
            },
            3 => StreamSettings {
                subjects: vec![format!("a{}.0", self.round)],
                ..fresh
            },
            4 => StreamSettings {
                deny_purge: true,
                ..fresh
            },
            5 => StreamSettings {
                replicas: 5,
                ..fresh
            },
            6 => StreamSettings {
                name: "no good".into(),
                ..fresh
            },
            _ => fresh,
        }
    }

    fn stream(&self, random: &mut Random) -> StreamName {
        match random.below(1_000) {
            0..60 => return "NONE".into(),
            60..80 => return "no good".into(),
            _ => {}
        }
        self.streams[*random.pick(&[EVENTS, EVENTS, BUCKET, NARROW, FORGETFUL])]
            .name
            .clone()
    }

    fn home(&self, stream: &str) -> usize {
        self.streams
            .iter()
            .position(|settings| settings.name == stream)
            .unwrap_or(EVENTS)
    }

    fn subject(&self, home: usize, random: &mut Random) -> Subject {
        let name = self.streams[home].name.to_lowercase();
        format!("{name}.{}", random.below(SUBJECTS)).into()
    }
}

/// A guess at where a subject ends, which is right in two of three cases.
fn near(last: Option<&tenure_core::port::Message>, random: &mut Random) -> Sequence {
    let last = last.map_or(0, |message| message.sequence.0);
    match random.below(9) {
        0 => Sequence(last + 1),
        1 => Sequence(last.saturating_sub(1)),
        2 => Sequence::NONE,
        _ => Sequence(last),
    }
}

/// The settings of an event stream that takes in the subjects of its name.
pub(crate) fn settings(name: &str, replicas: u32) -> StreamSettings {
    let subjects = vec![format!("{}.>", name.to_lowercase())];
    StreamSettings::event_log(name.into(), subjects, replicas)
}

/// A message that expects nothing.
pub(crate) fn message(stream: &str, subject: &str) -> Publish {
    Publish {
        stream: stream.into(),
        subject: subject.into(),
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: Bytes::from_static(b"body"),
    }
}
