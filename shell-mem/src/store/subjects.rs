//! Where each subject's messages are. Each write looks its subject up several times, so it is found by
//! a number of its text.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Deref;
use tenure_core::port::Subject;

/// Where a subject's messages are, each list by ascending sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct SubjectIndex {
    pub(super) live: Live,
    pub(super) removed: BTreeSet<u64>,
}

/// The sequences of the messages that are there, rising.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    sequences: VecDeque<u64>,
    /// The last one. Each write asks for it, and the list is memory of its own that was not touched
    /// since the write before.
    last: Option<u64>,
}

impl Live {
    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    pub(super) fn push(&mut self, sequence: u64) {
        self.sequences.push_back(sequence);
        self.last = Some(sequence);
    }

    pub(super) fn insert(&mut self, place: usize, sequence: u64) {
        self.sequences.insert(place, sequence);
        self.last = self.sequences.back().copied();
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.sequences.remove(place);
        self.last = self.sequences.back().copied();
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.sequences.truncate(len);
        self.last = self.sequences.back().copied();
    }
}

impl Deref for Live {
    type Target = VecDeque<u64>;

    fn deref(&self) -> &VecDeque<u64> {
        &self.sequences
    }
}

/// The subjects of one stream. Those whose texts have numbers with the same low bits stand in one
/// list; there are as many lists as subjects or more, and a power of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    lists: Vec<Vec<(Subject, SubjectIndex)>>,
    len: usize,
}

/// How many lists there are at first.
const LISTS_MIN: usize = 16;

/// Where a subject's index stands, until subjects are added or removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubjectAt {
    list: usize,
    place: usize,
}

impl Subjects {
    /// Where the index of a subject is that is there.
    pub(super) fn find(&self, subject: &str) -> Option<SubjectAt> {
        let list = self.list(subject)?;
        let mut same = self.lists.get(list)?.iter();
        let place = same.position(|(text, _)| is(text, subject))?;
        Some(SubjectAt { list, place })
    }

    /// The index that was found.
    pub(super) fn at(&self, at: SubjectAt) -> &SubjectIndex {
        &self.lists[at.list][at.place].1
    }

    /// The index that was found.
    pub(super) fn at_mut(&mut self, at: SubjectAt) -> &mut SubjectIndex {
        &mut self.lists[at.list][at.place].1
    }

    pub(super) fn get(&self, subject: &str) -> Option<&SubjectIndex> {
        self.find(subject).map(|at| self.at(at))
    }

    pub(super) fn get_mut(&mut self, subject: &str) -> Option<&mut SubjectIndex> {
        self.find(subject).map(|at| self.at_mut(at))
    }

    /// Where the index of a subject is; it is added when it is not there.
    pub(super) fn find_or_add(&mut self, subject: &Subject) -> SubjectAt {
        if let Some(at) = self.find(subject) {
            return at;
        }
        if self.len >= self.lists.len() {
            self.grow();
        }
        self.len += 1;
        let list = self.list(subject).unwrap_or_default();
        let same = &mut self.lists[list];
        same.push((subject.clone(), SubjectIndex::default()));
        let place = same.len() - 1;
        SubjectAt { list, place }
    }

    pub(super) fn get_or_default(&mut self, subject: &Subject) -> &mut SubjectIndex {
        let at = self.find_or_add(subject);
        self.at_mut(at)
    }

    pub(super) fn remove(&mut self, subject: &str) {
        let list = self.list(subject);
        if let Some(same) = list.and_then(|list| self.lists.get_mut(list))
            && let Some(place) = same.iter().position(|(text, _)| is(text, subject))
        {
            same.swap_remove(place);
            self.len -= 1;
        }
    }

    #[cfg(feature = "nats")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Subject, &SubjectIndex)> {
        let all = self.lists.iter().flatten();
        all.map(|(subject, index)| (subject, index))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut SubjectIndex> {
        let all = self.lists.iter_mut().flatten();
        all.map(|(_, index)| index)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&SubjectIndex) -> bool) {
        for list in &mut self.lists {
            list.retain(|(_, index)| keep(index));
        }
        self.len = self.lists.iter().map(Vec::len).sum();
    }

    /// The list that a subject is in, or would be; `None` when there is none at all.
    fn list(&self, subject: &str) -> Option<usize> {
        let last = self.lists.len().checked_sub(1)?;
        // What is cut off are high bits, and no list has a place beyond the last.
        Some(number(subject) as usize & last)
    }

    fn grow(&mut self) {
        let count = (2 * self.lists.len()).max(LISTS_MIN);
        let before = core::mem::take(&mut self.lists);
        self.lists.resize_with(count, Vec::new);
        for (subject, index) in before.into_iter().flatten() {
            let list = number(&subject) as usize & (count - 1);
            self.lists[list].push((subject, index));
        }
    }
}

/// Whether it is this subject. An entity's messages share one text, so it is mostly the same memory.
fn is(text: &Subject, subject: &str) -> bool {
    core::ptr::eq(text.as_str(), subject) || text == subject
}

/// A number of a text (FNV-1a over words of eight bytes), the same in every run.
fn number(text: &str) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut number = 0xcbf2_9ce4_8422_2325 ^ text.len() as u64;
    for word in words {
        number = (number ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        number ^= number >> 32;
    }
    for byte in rest {
        number = (number ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    number ^ number >> 32
}

#[cfg(test)]
mod tests {
    use super::{Live, Subjects};
    use alloc::format;

    #[test]
    fn each_subject_has_an_index_of_its_own() {
        let mut subjects = Subjects::default();
        for n in 0..2_000_u64 {
            let subject = format!("bank.ev.{}.account.{n}", n % 7).into();
            subjects.get_or_default(&subject).live.push(n);
        }
        for n in 0..2_000_u64 {
            let subject = format!("bank.ev.{}.account.{n}", n % 7);
            let live = &subjects.get(&subject).unwrap().live;
            assert_eq!((live.last(), live.len(), live[0]), (Some(n), 1, n));
        }
        subjects.remove("bank.ev.0.account.0");
        assert!(subjects.get("bank.ev.0.account.0").is_none());
        assert_eq!(subjects.values_mut().count(), 1_999);
        subjects.retain(|index| index.live[0] < 10);
        assert_eq!(subjects.values_mut().count(), 9);
    }

    #[test]
    fn the_last_one_is_known_after_each_change() {
        let mut live = Live::default();
        assert_eq!(live.last(), None);
        for sequence in [3, 5, 8] {
            live.push(sequence);
        }
        live.remove(2);
        assert_eq!((live.last(), live.len()), (Some(5), 2));
        live.insert(1, 4);
        assert_eq!(live.last(), Some(5));
        live.insert(3, 9);
        assert_eq!(live.last(), live.back().copied());
        live.truncate(1);
        assert_eq!(live.last(), Some(3));
        live.truncate(0);
        assert_eq!(live.last(), None);
    }
}
