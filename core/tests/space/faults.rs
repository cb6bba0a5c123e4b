//! Whatever is lost, late or cut on the way, all processes come to one layout, one anchor per
//! stream and one record per kind (N2, N3).

use crate::process::{Process, account, wish};
use proptest::prelude::*;
use tenure_core::format::{Anchor, KindRecord, Layout};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::space::{Effect, Input, SpaceWish};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};

const NOW: WallTime = WallTime(1_000);

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
enum Fault {
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
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::Lost),
        1 => Just(Fault::Late),
        1 => Just(Fault::NoResponders),
        1 => Just(Fault::Stale),
        1 => Just(Fault::Cut),
    ]
}

struct World {
    store: Store,
    late: Vec<StoreRequest>,
}

impl World {
    fn serve(&mut self, process: &mut Process, fault: Fault) {
        let capabilities = self.store.config().capabilities.clone();
        let (op, request) = process.next();
        let reads = !request.writes();
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
                process.step(Input::Down);
                if !reads {
                    self.store.apply(NOW, &request);
                }
                process.connect(capabilities);
                Outcome::Unknown
            }
        };
        process.reply(op, reply);
    }

    /// Late attempts are done at last.
    fn settle(&mut self) {
        for request in std::mem::take(&mut self.late) {
            self.store.apply(NOW, &request);
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

proptest! {
    #[test]
    fn all_processes_come_to_one_namespace(
        steps in proptest::collection::vec((0_usize..3, fault()), 0..80),
        clustered: bool,
    ) {
        let config = if clustered { StoreConfig::clustered(3) } else { StoreConfig::default() };
        let capabilities = config.capabilities.clone();
        let mut world = World { store: Store::new(config), late: Vec::new() };
        let wish = SpaceWish { shards: Some(8), streams: Some(2), ..wish() };
        let mut processes: Vec<Process> = (0..3)
            .map(|seed| {
                let mut process = Process::new(wish.clone(), seed);
                process.step(Input::Kind(account(1)));
                process.connect(capabilities.clone());
                process
            })
            .collect();
        let finished = |process: &Process| record_of(&process.told).is_some();
        for (n, fault) in steps {
            if !finished(&processes[n]) {
                world.serve(&mut processes[n], fault);
            }
        }
        for process in &mut processes {
            while !finished(process) {
                world.serve(process, Fault::None);
            }
        }
        world.settle();

        let store = &world.store;
        let stored = store.last_of("bank_ctl", "bank.ctl.layout").expect("a layout");
        let layout = Layout::decode(&stored.payload).unwrap();
        prop_assert_eq!(store.last("bank_ctl"), Sequence(2), "a layout and a kind's record");
        for process in &processes {
            prop_assert_eq!(layout_of(&process.told), Some(&layout));
            prop_assert_eq!(record_of(&process.told), record_of(&processes[0].told));
        }
        for partition in layout.partitions() {
            let stream = format!("bank_ev_{partition}");
            prop_assert_eq!(store.last(&stream), Sequence(1));
            let first = store.message(&stream, Sequence(1)).expect("an anchor");
            let anchor = Anchor::decode(&first.payload).unwrap();
            prop_assert_eq!((anchor.layout, anchor.stream), (layout.id, partition));
        }
    }
}
