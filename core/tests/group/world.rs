//! Nodes that run one group, what is done to them, and what must hold.

use crate::circle::{Circle, Fate, LEASE, position};
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::Span;
use tenure_core::consumer::Start;
use tenure_core::consumer::group::{GroupOrder, Input};
use tenure_core::format::Position;
use tenure_core::id::{Incarnation, Sequence};
use tenure_core::node::Standing;

const PARTITIONS: u16 = 4;
const NODES_MAX: usize = 5;
const ENTITIES: u16 = 6;

/// What is done next, and how.
pub(crate) type Choice = (u8, u16);

/// Nodes that run one group, what was committed, and what records said.
pub(crate) struct World {
    circle: Circle,
    committed: BTreeMap<String, Vec<Sequence>>,
    commits: u64,
    started: usize,
    /// What each partition's record said last, and the runs that had it before.
    records: BTreeMap<u16, (u64, Position, Incarnation)>,
    /// Somebody wanted the group to go on from another place.
    rewound: bool,
    former: BTreeMap<u16, BTreeSet<Incarnation>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut this = Self {
            circle: Circle::new(16),
            committed: BTreeMap::new(),
            commits: 0,
            started: 0,
            records: BTreeMap::new(),
            former: BTreeMap::new(),
            rewound: false,
        };
        this.start();
        this.start();
        this
    }

    fn start(&mut self) {
        let name = format!("node-{}", self.started);
        self.started += 1;
        self.circle.start(&name, PARTITIONS, None);
    }

    /// The nodes that act, or might.
    fn living(&self) -> Vec<String> {
        let nodes = self.circle.nodes.iter();
        let living = nodes.filter(|(_, node)| !node.dead && !node.over);
        living.map(|(name, _)| name.clone()).collect()
    }

    fn commit(&mut self, of: u16) {
        let id = format!("entity-{}", of % ENTITIES);
        self.circle.commit(&id);
        self.commits += 1;
        let at = Sequence(self.commits);
        self.committed.entry(id).or_default().push(at);
    }

    /// Does one thing.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub(crate) fn act(&mut self, (what, how): Choice) {
        let all: Vec<String> = self.circle.nodes.keys().cloned().collect();
        let one = all[usize::from(how) % all.len()].clone();
        let living = self.living();
        if what >= 248 {
            self.order(&one, how);
            return self.look();
        }
        match what % 24 {
            0..=7 => drop(self.circle.answer(&one)),
            8 | 9 => drop(self.circle.end_batches(&one)),
            10..=12 => {
                if let Some(due) = self.circle.next_due() {
                    self.circle.now = due.max(self.circle.now);
                }
                self.circle.renew_due();
                self.circle.tick();
            }
            13 => self.commit(how),
            14 => {
                let fate = [Fate::Unknown, Fate::Lost, Fate::Late][usize::from(how) % 3];
                let fates = &mut self.circle.node(&one).fates;
                fates
                    .entry("Publish".to_owned())
                    .or_default()
                    .push_back(fate);
            }
            15 => {
                let node = self.circle.node(&one);
                node.leased = !node.leased;
            }
            16 => {
                let node = self.circle.node(&one);
                node.deaf = !node.deaf;
            }
            17 if living.len() > 1 && living.contains(&one) => {
                self.circle.node(&one).dead = true;
            }
            18 => self.find_out(&one),
            19 if living.len() > 1 && living.contains(&one) => {
                let until = self.circle.now + Span::from_millis(u64::from(how % 2_000));
                let gives_up = false;
                self.circle.step(&one, Input::Leave { until, gives_up });
            }
            20 if living.len() < NODES_MAX => self.start(),
            21 => self.circle.arrive(&one),
            22 => {
                let to = self.circle.now + Span::from_millis(u64::from(how % 1_500));
                self.circle.advance(to);
            }
            _ => {
                let node = self.circle.node(&one);
                let standing = match node.standing {
                    Standing::Living => Standing::Hinted,
                    Standing::Hinted => Standing::Living,
                    Standing::Over => return,
                };
                self.circle.stands(&one, standing);
            }
        }
        self.look();
    }

    /// A node tells the group something.
    fn order(&mut self, name: &str, how: u16) {
        let by = "somebody".to_owned();
        let order = match how % 4 {
            0 => GroupOrder::Pause { by },
            1 => GroupOrder::Resume,
            2 => GroupOrder::Rewind(Start::Beginning),
            _ => {
                let places = u64::from(how / 4) % (self.commits + 2);
                let place = Position::whole(Sequence(places));
                GroupOrder::Rewind(Start::After(vec![place]))
            }
        };
        self.rewound |= how % 4 > 1;
        self.circle.order(name, order);
    }

    /// The others find out that the lease of a node is over: later than it ends, with whatever drift.
    fn find_out(&mut self, name: &str) {
        let watched = self.circle.now;
        let node = self.circle.node(name);
        let over = node
            .lease
            .is_none_or(|end| end + Span::from_millis(500) < watched);
        if over && node.standing != Standing::Over {
            // It finds its tombstone, and is another run from then on.
            node.dead = true;
            self.circle.stands(name, Standing::Over);
        }
    }

    /// P6: positions do not go back within a life, and who lost a record never writes it again. Lives do not
    /// go back, and each begins with no positions (Q7).
    fn look(&mut self) {
        for part in 0..PARTITIONS {
            let Some((_, record)) = self.circle.record(part) else {
                assert!(!self.records.contains_key(&part), "a record stays");
                continue;
            };
            let (life, at, run) = (record.generation, position(&record), record.run);
            if let Some((lived, before, owner)) = self.records.insert(part, (life, at, run)) {
                assert!(life >= lived, "partition {part} is in a former life");
                assert!(
                    life > lived || at >= before,
                    "partition {part} went back: {before:?}, {at:?}"
                );
                if owner != run {
                    self.former.entry(part).or_default().insert(owner);
                }
            }
            let former = self.former.get(&part);
            let stale = former.is_some_and(|former| former.contains(&run));
            assert!(!stale, "partition {part} was written by a former owner");
        }
    }

    /// Everything heals: each partition is where it belongs, and all that was committed was handled.
    pub(crate) fn end_well(mut self) {
        if self.living().is_empty() {
            self.start();
        }
        for name in self.living() {
            let node = self.circle.node(&name);
            (node.leased, node.deaf) = (true, false);
            node.fates.clear();
            self.circle.arrive(&name);
            if self.circle.node(&name).standing == Standing::Hinted {
                self.circle.stands(&name, Standing::Living);
            }
        }
        let to = self.circle.now + LEASE + Span::from_secs(1);
        self.circle.advance(to);
        let all: Vec<String> = self.circle.nodes.keys().cloned().collect();
        for name in all {
            self.circle.arrive(&name);
            if !self.living().contains(&name) {
                self.circle.node(&name).leased = false;
                self.circle.stands(&name, Standing::Over);
            }
        }
        if self.living().is_empty() {
            self.start();
        }
        let one = self.living().remove(0);
        let to = self.circle.now + Span::from_secs(5);
        self.circle.advance(to);
        self.circle.order(&one, GroupOrder::Resume);
        let to = self.circle.now + Span::from_secs(30);
        self.circle.advance(to);
        self.look();
        let mut held = BTreeSet::new();
        for name in self.living() {
            for part in self.circle.runs(&name) {
                assert!(held.insert(part), "{part} runs twice");
                let status = self.circle.nodes[&name].group.status();
                let best = status.partitions[usize::from(part)].best.clone();
                assert_eq!(best.map(|best| best.to_string()), Some(name.clone()));
                let (_, record) = self.circle.record(part).expect("it is owned");
                assert_eq!(
                    record.generation, status.life,
                    "{part} is in the group's life"
                );
                assert_eq!(status.paused, None);
            }
        }
        assert_eq!(
            held.len(),
            usize::from(PARTITIONS),
            "{:#?}",
            self.circle.lines
        );
        let mut first: BTreeMap<String, Vec<Sequence>> = BTreeMap::new();
        for (_, id, at) in &self.circle.handled {
            let seen = first.entry(id.clone()).or_default();
            if !seen.contains(at) {
                seen.push(*at);
            }
        }
        let story = self.circle.lines.join("\n");
        if self.rewound {
            // What is between two places may come to nobody.
            for (id, seen) in &mut first {
                seen.sort_unstable();
                let all = &self.committed[id];
                assert!(seen.iter().all(|at| all.contains(at)), "{story}");
            }
            return;
        }
        assert_eq!(
            first, self.committed,
            "each was handled, in order:\n{story}"
        );
    }
}
