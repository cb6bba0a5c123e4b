//! Whether all lanes of a node turn: one that hangs or has ended keeps the others' shards in the dark
//! as long as its node looks alive (M2).

use std::sync::atomic::{AtomicU64, Ordering};

/// What each lane answered last. Lane 0 asks with each heartbeat.
#[derive(Debug)]
pub(crate) struct Pulse(Box<[AtomicU64]>);

impl Pulse {
    pub(crate) fn new(lanes: usize) -> Self {
        Self((0..lanes).map(|_| AtomicU64::new(0)).collect())
    }

    /// A lane turns: it has come to this question.
    pub(crate) fn answer(&self, lane: usize, beat: u64) {
        if let Some(last) = self.0.get(lane) {
            last.store(beat, Ordering::Release);
        }
    }

    /// Whether every lane but the first has come to this question.
    pub(crate) fn all_answered(&self, beat: u64) -> bool {
        let mut others = self.0.iter().skip(1);
        others.all(|last| last.load(Ordering::Acquire) >= beat)
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn one_lane_that_does_not_answer_is_enough() {
        let pulse = Pulse::new(3);
        assert!(pulse.all_answered(0) && !pulse.all_answered(1));
        pulse.answer(1, 1);
        assert!(!pulse.all_answered(1));
        pulse.answer(2, 1);
        assert!(pulse.all_answered(1) && !pulse.all_answered(2));
        assert!(Pulse::new(1).all_answered(9), "the first lane asks");
    }
}
