//! The algebra of leases: whatever the clocks within ρ, the delays and the pauses, the holder has
//! stopped before anyone may take its place (P3, T1 to T4).

use proptest::collection::vec;
use proptest::prelude::*;
use tenure_core::id::Sequence;
use tenure_core::lease::{Entry, Holder, Terms, Watch};
use tenure_core::{Span, Time};

/// A node's clock: it shows `offset` at the world's start, and runs too fast or too slow by so many
/// millionths.
#[derive(Clone, Copy, Debug)]
struct Clock {
    offset: u64,
    drift: i64,
}

impl Clock {
    fn shows(self, real: u64) -> Time {
        let rate = i128::from(1_000_000 + self.drift);
        let run = i128::from(real) * rate / 1_000_000;
        Time::from_nanos(self.offset + u64::try_from(run).unwrap())
    }
}

/// One heartbeat, in nanoseconds of real time: when it is sent after the one before it, how long until
/// it is stored, until its acknowledgement comes, and until the watcher receives it; some of these
/// never come.
#[derive(Clone, Copy, Debug)]
struct Beat {
    pause: u64,
    store: Option<u64>,
    acknowledge: Option<u64>,
    receive: Option<u64>,
}

const SECOND: u64 = 1_000_000_000;

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

/// What one of the two sees, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The holder hears that the heartbeat which it sent then is acknowledged.
    Acknowledged { sent: u64 },
    /// The watcher receives a revision.
    Received { revision: u64 },
}

/// All that is seen, by real time, and the revision that stands at the end.
fn world(beats: &[Beat]) -> (Vec<(u64, Event)>, u64) {
    let (mut now, mut stored_until, mut revision) = (0, 0, 0);
    let mut events = Vec::new();
    for beat in beats {
        now += beat.pause;
        let Some(store) = beat.store else {
            continue;
        };
        // Each is stored over the one before it, so they are stored in their order.
        let stored = stored_until.max(now + store);
        stored_until = stored;
        revision += 1;
        if let Some(delay) = beat.acknowledge {
            events.push((stored + delay, Event::Acknowledged { sent: now }));
        }
        if let Some(delay) = beat.receive {
            events.push((stored + delay, Event::Received { revision }));
        }
    }
    events.sort();
    (events, revision)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The tombstone is written on the revision that stands, so only a watch of that one ends the
    /// lease; the holder never acts at or after that moment.
    #[test]
    fn the_holder_stops_before_the_others_go_on(
        (terms, holder_clock, watcher_clock) in terms()
            .prop_flat_map(|terms| (Just(terms), clock(terms.drift_ppm), clock(terms.drift_ppm))),
        beats in beats(),
        step_ns in 1_000_000..400_000_000_u64,
        sleeps in vec((0..60 * SECOND, 0..20 * SECOND), 0..3),
    ) {
        let (events, last) = world(&beats);
        let mut watch: Option<Watch> = None;
        for (at, event) in &events {
            if let Event::Received { revision } = event {
                let (revision, shown) = (Sequence(*revision), watcher_clock.shows(*at));
                match &mut watch {
                    Some(watch) => { watch.seen(revision, shown); }
                    None => watch = Some(Watch::new(revision, shown)),
                }
            }
        }
        let Some(watch) = watch.filter(|watch| watch.revision() == Sequence(last)) else {
            return Ok(());
        };
        // The moment at which the watcher's clock shows the end, rounded to before it.
        let over_at = watch.over_at(&terms);
        let shown = u128::from(over_at.as_nanos() - watcher_clock.offset);
        let rate = u128::try_from(1_000_000 + watcher_clock.drift).unwrap();
        let over_real = u64::try_from(shown * 1_000_000 / rate).unwrap();

        // The holder steps every now and then, and sleeps; each step is told what came until then.
        let mut holder = Holder::new(terms, holder_clock.shows(0));
        let mut events = events.iter().peekable();
        let mut real = 0;
        while real < over_real + 30 * SECOND {
            let asleep = sleeps.iter().find(|(from, long)| (*from..from + long).contains(&real));
            real = asleep.map_or(real, |(from, long)| from + long);
            let before = holder.until();
            let entry = holder.enter(holder_clock.shows(real));
            prop_assert_ne!(entry, Entry::WentBack);
            if entry == (Entry::Gap { held: true }) {
                prop_assert!(before.is_some() && holder.until().is_none());
            }
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= real) {
                if let Event::Acknowledged { sent } = event {
                    holder.acknowledged(holder_clock.shows(*sent));
                }
            }
            if let Some(until) = holder.until() {
                prop_assert!(real < over_real, "it acts at {real}, others at {over_real}");
                let shown = u128::from(until.as_nanos() - holder_clock.offset);
                let rate = u128::try_from(1_000_000 + holder_clock.drift).unwrap();
                let ends = u64::try_from((shown * 1_000_000).div_ceil(rate)).unwrap();
                prop_assert!(ends <= over_real + 1, "it may act until {ends}, others from {over_real}");
            }
            real += step_ns;
        }
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
