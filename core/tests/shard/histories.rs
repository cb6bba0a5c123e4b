//! Random histories of a cluster: at no time do two nodes act for one leased place (P3), and when the
//! faults are over every place is with whom the map gives it, and everybody knows (P8).

use crate::history::{Act, History, NAMES, SHARDS};
use crate::owners::{Class, Fate};
use proptest::prelude::*;

fn node() -> impl Strategy<Value = usize> {
    0..NAMES.len()
}

fn act() -> impl Strategy<Value = Act> {
    let class =
        prop_oneof![3 => Just(Class::Claim), 1 => Just(Class::Commit), 1 => Just(Class::Owners)];
    let fate = prop_oneof![Just(Fate::Held), Just(Fate::AnswerLost), Just(Fate::Late)];
    prop_oneof![
        6 => (1_u64..3_000).prop_map(Act::Advance),
        3 => (node(), prop::option::of(node())).prop_map(|(n, by)| Act::Hint(n, by)),
        2 => node().prop_map(Act::Back),
        3 => (node(), prop::option::of(1_u64..2_000)).prop_map(|(n, ms)| Act::LeaseEnds(n, ms)),
        3 => node().prop_map(Act::Over),
        3 => node().prop_map(Act::Rejoin),
        2 => node().prop_map(Act::Restart),
        2 => node().prop_map(Act::Stop),
        2 => node().prop_map(Act::GoOn),
        1 => node().prop_map(Act::Deaf),
        1 => node().prop_map(Act::Hears),
        1 => node().prop_map(Act::Drain),
        4 => (node(), class, fate).prop_map(|(n, class, fate)| Act::Fault(n, class, fate)),
        2 => node().prop_map(Act::Release),
        2 => Just(Act::Late),
        1 => Just(Act::List),
        1 => (node(), prop_oneof![Just(0_u16), Just(50), Just(100)]).prop_map(|(n, w)| Act::Weight(n, w)),
        4 => (node(), 0..SHARDS, any::<bool>()).prop_map(|(n, shard, reads)| Act::Ask(n, shard, reads)),
        3 => Just(Act::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_node_acts_and_the_cluster_converges(acts in prop::collection::vec(act(), 1..60)) {
        let mut history = History::new();
        for act in &acts {
            history.act(act);
            history.one_acts();
        }
        history.heal();
        history.one_acts();
        history.converged();
    }
}
