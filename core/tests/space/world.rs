//! Processes that open one namespace on a model store, whatever becomes of their requests.

use super::process::{Process, account, wish};
use tenure_core::format::{Anchor, KindRecord, Layout};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Capabilities, Refused, StoreRequest};
use tenure_core::space::{Effect, Input, SpaceWish};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};

const NOW: WallTime = WallTime(1_000);

/// How many processes there are.
pub(crate) const PROCESSES: usize = 3;

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// It is done, but the answer is lost.
    AnswerLost,
    /// It is lost.
    Lost,
    /// It is given up and done at the end.
    Late,
    /// Nobody is there for it.
    NoResponders,
    /// A replica that lags answers: it has nothing yet.
    Stale,
    /// The connection is cut before the answer comes.
    Cut,
    /// The process is gone after it, and another one begins.
    Crash,
}

pub(crate) struct World {
    store: Store,
    late: Vec<StoreRequest>,
    processes: Vec<Process>,
    begun: u32,
}

impl World {
    pub(crate) fn new(clustered: bool) -> Self {
        let config = match clustered {
            true => StoreConfig::clustered(3),
            false => StoreConfig::default(),
        };
        let mut world = Self {
            store: Store::new(config),
            late: Vec::new(),
            processes: Vec::new(),
            begun: 0,
        };
        for _ in 0..PROCESSES {
            let process = world.begin();
            world.processes.push(process);
        }
        world
    }

    /// A process that wants a namespace, and a kind of it.
    fn begin(&mut self) -> Process {
        let wish = SpaceWish {
            shards: Some(8),
            streams: Some(2),
            ..wish()
        };
        let mut process = Process::new(wish, u128::from(self.begun));
        self.begun += 1;
        process.step(Input::Kind(account(1)));
        process.connect(self.capabilities());
        process
    }

    fn capabilities(&self) -> Capabilities {
        self.store.config().capabilities.clone()
    }

    /// One request of a process, unless it has all that it wants.
    pub(crate) fn act(&mut self, n: usize, fault: Fault) {
        if record_of(&self.processes[n].told).is_none() {
            self.serve(n, fault);
            self.check();
        }
    }

    fn serve(&mut self, n: usize, fault: Fault) {
        let (op, request) = self.processes[n].next();
        let reply = match fault {
            Fault::None => self.store.apply(NOW, &request),
            Fault::AnswerLost => {
                self.store.apply(NOW, &request);
                Outcome::Unknown
            }
            Fault::Lost => Outcome::Unknown,
            Fault::Late => {
                self.late.push(request);
                Outcome::Unknown
            }
            Fault::NoResponders => Outcome::Refused(Refused::NoResponders),
            Fault::Stale => match request {
                StoreRequest::Latest { .. } | StoreRequest::Get { .. } => {
                    Outcome::Refused(Refused::NotFound)
                }
                StoreRequest::Publish(_)
                | StoreRequest::Batch { .. }
                | StoreRequest::Scan { .. }
                | StoreRequest::CreateStream(_)
                | StoreRequest::StreamInfo { .. }
                | StoreRequest::Capabilities
                | StoreRequest::OpenConsumer(_)
                | StoreRequest::Fetch { .. }
                | StoreRequest::CloseConsumer { .. } => self.store.apply(NOW, &request),
            },
            Fault::Cut => {
                self.processes[n].step(Input::Down);
                if request.writes() {
                    self.store.apply(NOW, &request);
                }
                let capabilities = self.capabilities();
                self.processes[n].connect(capabilities);
                Outcome::Unknown
            }
            Fault::Crash => {
                self.store.apply(NOW, &request);
                self.processes[n] = self.begin();
                return;
            }
        };
        self.processes[n].reply(op, reply);
    }

    /// Whatever a process was told is what the others were told.
    fn check(&self) {
        let told = || self.processes.iter().map(|process| &process.told);
        let first = told().find_map(|told| layout_of(told));
        for layout in told().filter_map(|told| layout_of(told)) {
            assert_eq!(Some(layout), first, "two layouts");
        }
        let first = told().find_map(|told| record_of(told));
        for record in told().filter_map(|told| record_of(told)) {
            assert_eq!(Some(record), first, "two records of a kind");
        }
        let failed = told().flatten().find(|told| is_failure(told));
        assert_eq!(failed, None);
    }

    /// Nothing fails any more, and late requests arrive: there is one layout, one record of the kind, and
    /// one anchor in each stream, and everybody has them.
    pub(crate) fn end_well(&mut self) {
        for n in 0..PROCESSES {
            while record_of(&self.processes[n].told).is_none() {
                self.act(n, Fault::None);
            }
        }
        for request in std::mem::take(&mut self.late) {
            self.store.apply(NOW, &request);
        }
        let store = &self.store;
        let stored = store
            .last_of("bank_ctl", "bank.ctl.layout")
            .expect("a layout");
        let layout = Layout::decode(&stored.payload).unwrap();
        assert_eq!(
            store.last("bank_ctl"),
            Sequence(2),
            "a layout and a kind's record"
        );
        for process in &self.processes {
            assert_eq!(layout_of(&process.told), Some(&layout));
        }
        for partition in layout.partitions() {
            let stream = format!("bank_ev_{partition}");
            assert_eq!(store.last(&stream), Sequence(1));
            let first = store.message(&stream, Sequence(1)).expect("an anchor");
            let anchor = Anchor::decode(&first.payload).unwrap();
            assert_eq!((anchor.layout, anchor.stream), (layout.id, partition));
        }
    }
}

fn layout_of(told: &[Effect]) -> Option<&Layout> {
    told.iter().find_map(|effect| match effect {
        Effect::Opened(opened) => Some(&opened.layout),
        Effect::Store { .. }
        | Effect::Verified(_)
        | Effect::KindReady { .. }
        | Effect::KindFailed { .. }
        | Effect::Failed(_)
        | Effect::Halt(_) => None,
    })
}

fn record_of(told: &[Effect]) -> Option<&KindRecord> {
    told.iter().find_map(|effect| match effect {
        Effect::KindReady { record, .. } => Some(record),
        Effect::Store { .. }
        | Effect::Opened(_)
        | Effect::Verified(_)
        | Effect::KindFailed { .. }
        | Effect::Failed(_)
        | Effect::Halt(_) => None,
    })
}

fn is_failure(effect: &Effect) -> bool {
    match effect {
        Effect::KindFailed { .. } | Effect::Failed(_) | Effect::Halt(_) => true,
        Effect::Store { .. }
        | Effect::Opened(_)
        | Effect::Verified(_)
        | Effect::KindReady { .. } => false,
    }
}
