//! The algebra of leases: whatever the clocks within ρ, the delays and the pauses, the holder has
//! stopped before anyone may take its place (P3, T1 to T4).

mod pair;

use pair::{Beat, Clock, Pair, SECOND, stops_before_the_other_goes_on};
use proptest::collection::vec;
use proptest::prelude::*;
use tenure_core::id::Sequence;
use tenure_core::lease::{Entry, Holder, Terms, Watch};
use tenure_core::{Span, Time};

fn terms() -> impl Strategy<Value = Terms> {
    (500..20_000_u64, 0..=50_000_u32, 20..5_000_u64).prop_filter_map(
        "terms that hold",
        |(ttl, drift_ppm, margin)| {
            let terms = Terms {
                ttl: Span::from_millis(ttl),
                drift_ppm,
                margin: Span::from_millis(margin),
            };
            terms.check(false).is_ok().then_some(terms)
        },
    )
}

fn clock(drift_ppm: u32) -> impl Strategy<Value = Clock> {
    let drift = i64::from(drift_ppm);
    let drift = prop_oneof![Just(drift), Just(-drift), -drift..=drift];
    (0..1_000 * SECOND, drift).prop_map(|(offset, drift)| Clock { offset, drift })
}

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let delay = || prop_oneof![3 => 0..SECOND / 10, 1 => 0..15 * SECOND];
    let perhaps = move || proptest::option::weighted(0.8, delay());
    let beat = (delay(), perhaps(), perhaps(), perhaps());
    vec(
        beat.prop_map(|(pause, store, acknowledge, receive)| Beat {
            pause,
            store,
            acknowledge,
            receive,
        }),
        1..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_holder_stops_before_the_others_go_on(
        (terms, holder, watcher) in terms()
            .prop_flat_map(|terms| (Just(terms), clock(terms.drift_ppm), clock(terms.drift_ppm))),
        beats in beats(),
        step_ns in 1_000_000..400_000_000_u64,
        sleeps in vec((0..60 * SECOND, 0..20 * SECOND), 0..3),
    ) {
        stops_before_the_other_goes_on(&Pair { terms, holder, watcher, beats, step_ns, sleeps });
    }

    /// Whatever can be asked for, a lease that passes the check can be kept: it lasts for several
    /// heartbeats, and the others' wait is not much longer.
    #[test]
    fn what_is_checked_can_be_kept(terms in terms()) {
        prop_assert!(terms.hold() < terms.ttl && terms.ttl < terms.watch());
        prop_assert!(terms.hold() > terms.beat_every().saturating_mul(4));
        prop_assert!(terms.watch() <= terms.ttl.saturating_mul(2));
    }
}

#[test]
fn terms_that_cannot_work_say_what_to_change() {
    let single = Terms::single();
    let told = |terms: Terms, clustered| terms.check(clustered).unwrap_err().to_string();
    let ttl = |millis| Terms::of_ttl(Span::from_millis(millis));
    assert_eq!(Terms::cluster().check(true), Ok(()));
    assert_eq!(single.check(false), Ok(()));
    assert_eq!(
        told(single, true),
        "a lease of 3s is lost whenever the servers elect a leader, which takes up to 8 s; make its \
         ttl longer than that on a cluster of servers (10 s is the usual one)"
    );
    assert_eq!(
        told(ttl(499), false),
        "a lease of 499ms cannot be kept; make its ttl 500ms or longer"
    );
    assert_eq!(
        told(ttl(600_001), false),
        "a lease of 600.001s outlasts a node by too long; make its ttl 600s or shorter"
    );
    let drift = Terms {
        drift_ppm: 50_001,
        ..single
    };
    assert_eq!(
        told(drift, false),
        "a drift of 50001 ppm leaves no lease; make it 50000 or less"
    );
    let margin = |millis| Terms {
        margin: Span::from_millis(millis),
        ..single
    };
    assert_eq!(
        told(margin(19), false),
        "a margin of 19ms is shorter than a step may take; make it 20ms or more"
    );
    assert_eq!(
        told(margin(751), false),
        "a margin of 751ms leaves too little of a lease of 3s; make it 750ms or less, or the ttl longer"
    );
}

#[test]
fn the_bounds_themselves_can_be_kept() {
    let of_ttl = |millis| Terms::of_ttl(Span::from_millis(millis));
    let single = Terms::single();
    assert_eq!(of_ttl(5_000).margin, Span::from_millis(500));
    let of_margin = |margin| Terms { margin, ..single };
    let drifting = Terms {
        drift_ppm: Terms::DRIFT_PPM_MAX,
        ..single
    };
    let (least, most) = (Terms::MARGIN_MIN, Span::from_millis(750));
    for terms in [of_ttl(500), of_ttl(600_000), drifting] {
        assert_eq!(terms.check(false), Ok(()), "{terms}");
    }
    for margin in [least, most] {
        assert_eq!(of_margin(margin).check(false), Ok(()), "{margin}");
    }
    assert!(of_ttl(8_000).check(true).is_err() && of_ttl(8_001).check(true).is_ok());
}

#[test]
fn terms_say_what_they_are_and_how_often_to_beat() {
    let single = Terms::single();
    assert_eq!(single.beat_every(), Span::from_millis(375));
    assert_eq!(single.to_string(), "ttl 3s, drift 1000 ppm, margin 500ms");
}

#[test]
fn a_holder_is_stepped_by_half_the_margin_and_at_its_end() {
    let at = |millis| Time::ZERO + Span::from_millis(millis);
    let mut holder = Holder::new(Terms::single(), at(1_000));
    assert_eq!(holder.step_by(), at(1_250));
    assert!(holder.acknowledged(at(1_000)));
    for millis in (1_000..=3_400).step_by(400) {
        assert_eq!(holder.enter(at(millis)), Entry::Steady);
    }
    assert_eq!(holder.step_by(), at(3_497), "its end");
    holder.end(at(3_400));
    assert_eq!(holder.step_by(), at(3_650));
}

#[test]
fn a_watch_counts_from_what_it_heard_or_from_when_it_could_hear() {
    let at = |millis| Time::ZERO + Span::from_millis(millis);
    let single = Terms::single();
    let watch = Watch::new(Sequence(7), at(1_000));
    assert_eq!(watch.since(), at(1_000));
    assert_eq!(watch.over_after(at(0), &single), watch.over_at(&single));
    assert_eq!(watch.over_after(at(0), &single), at(1_000) + single.watch());
    assert_eq!(
        watch.over_after(at(2_000), &single),
        at(2_000) + single.watch()
    );
}
