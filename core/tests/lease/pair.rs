//! A holder of a lease and one who watches it, each by a clock of its own: what they see, and whether
//! the one has stopped before the other goes on (P3, T1 to T4).

use tenure_core::Time;
use tenure_core::id::Sequence;
use tenure_core::lease::{Entry, Holder, Terms, Watch};

/// A node's clock: it shows `offset` at the world's start, and runs too fast or too slow by so many
/// millionths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) offset: u64,
    pub(crate) drift: i64,
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
pub(crate) struct Beat {
    pub(crate) pause: u64,
    pub(crate) store: Option<u64>,
    pub(crate) acknowledge: Option<u64>,
    pub(crate) receive: Option<u64>,
}

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Both of them, and what happens to them.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) terms: Terms,
    pub(crate) holder: Clock,
    pub(crate) watcher: Clock,
    pub(crate) beats: Vec<Beat>,
    /// The holder steps so often, in nanoseconds.
    pub(crate) step_ns: u64,
    /// From when it stands still, and for how long, in nanoseconds.
    pub(crate) sleeps: Vec<(u64, u64)>,
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
fn seen(beats: &[Beat]) -> (Vec<(u64, Event)>, u64) {
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

/// Judges that the holder has stopped before the watcher may go on.
///
/// The tombstone is written on the revision that stands, so only a watch of that one ends the lease;
/// the holder never acts at or after that moment.
///
/// # Panics
///
/// When it does.
pub(crate) fn stops_before_the_other_goes_on(pair: &Pair) {
    let (events, last) = seen(&pair.beats);
    let mut watch: Option<Watch> = None;
    for (at, event) in &events {
        if let Event::Received { revision } = event {
            let (revision, shown) = (Sequence(*revision), pair.watcher.shows(*at));
            match &mut watch {
                Some(watch) => {
                    watch.seen(revision, shown);
                }
                None => watch = Some(Watch::new(revision, shown)),
            }
        }
    }
    let Some(watch) = watch.filter(|watch| watch.revision() == Sequence(last)) else {
        return;
    };
    // The moment at which the watcher's clock shows the end, rounded to before it.
    let over_at = watch.over_at(&pair.terms);
    let shown = u128::from(over_at.as_nanos() - pair.watcher.offset);
    let rate = u128::try_from(1_000_000 + pair.watcher.drift).unwrap();
    let over_real = u64::try_from(shown * 1_000_000 / rate).unwrap();

    // The holder steps every now and then, and sleeps; each step is told what came until then.
    let mut holder = Holder::new(pair.terms, pair.holder.shows(0));
    let mut events = events.iter().peekable();
    let mut real = 0;
    while real < over_real + 30 * SECOND {
        let asleep = pair
            .sleeps
            .iter()
            .find(|(from, long)| (*from..from + long).contains(&real));
        real = asleep.map_or(real, |(from, long)| from + long);
        let before = holder.until();
        let entry = holder.enter(pair.holder.shows(real));
        assert_ne!(entry, Entry::WentBack);
        if entry == (Entry::Gap { held: true }) {
            assert!(before.is_some() && holder.until().is_none());
        }
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= real) {
            if let Event::Acknowledged { sent } = event {
                holder.acknowledged(pair.holder.shows(*sent));
            }
        }
        if let Some(until) = holder.until() {
            assert!(real < over_real, "it acts at {real}, others at {over_real}");
            let shown = u128::from(until.as_nanos() - pair.holder.offset);
            let rate = u128::try_from(1_000_000 + pair.holder.drift).unwrap();
            let ends = u64::try_from((shown * 1_000_000).div_ceil(rate)).unwrap();
            assert!(
                ends <= over_real + 1,
                "it may act until {ends}, others from {over_real}"
            );
        }
        real += pair.step_ns;
    }
}
