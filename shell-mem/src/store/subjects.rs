//! Where each subject's messages are. Each write looks its subject up several times, so what is
//! compared first is a number of the text, not the text.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use tenure_core::port::Subject;

/// Where a subject's messages are, each list by ascending sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct SubjectIndex {
    pub(super) live: VecDeque<u64>,
    pub(super) removed: BTreeSet<u64>,
}

/// The subjects of one stream, by a number of their texts; those of one number stand in a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    by_number: BTreeMap<u64, Vec<(Subject, SubjectIndex)>>,
}

impl Subjects {
    pub(super) fn get(&self, subject: &str) -> Option<&SubjectIndex> {
        let same = self.by_number.get(&number(subject))?;
        let found = same.iter().find(|(text, _)| text == subject);
        found.map(|(_, index)| index)
    }

    pub(super) fn get_mut(&mut self, subject: &str) -> Option<&mut SubjectIndex> {
        let same = self.by_number.get_mut(&number(subject))?;
        let found = same.iter_mut().find(|(text, _)| text == subject);
        found.map(|(_, index)| index)
    }

    pub(super) fn get_or_default(&mut self, subject: &Subject) -> &mut SubjectIndex {
        let same = self.by_number.entry(number(subject)).or_default();
        let place = same.iter().position(|(text, _)| text == subject);
        let place = place.unwrap_or_else(|| {
            same.push((subject.clone(), SubjectIndex::default()));
            same.len() - 1
        });
        &mut same[place].1
    }

    pub(super) fn remove(&mut self, subject: &str) {
        let number = number(subject);
        if let Some(same) = self.by_number.get_mut(&number) {
            same.retain(|(text, _)| text != subject);
            if same.is_empty() {
                self.by_number.remove(&number);
            }
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut SubjectIndex> {
        let all = self.by_number.values_mut().flatten();
        all.map(|(_, index)| index)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&SubjectIndex) -> bool) {
        self.by_number.retain(|_, same| {
            same.retain(|(_, index)| keep(index));
            !same.is_empty()
        });
    }
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
    number
}

#[cfg(test)]
mod tests {
    use super::Subjects;
    use alloc::format;

    #[test]
    fn each_subject_has_an_index_of_its_own() {
        let mut subjects = Subjects::default();
        for n in 0..2_000_u64 {
            let subject = format!("bank.ev.{}.account.{n}", n % 7).into();
            subjects.get_or_default(&subject).live.push_back(n);
        }
        for n in 0..2_000_u64 {
            let subject = format!("bank.ev.{}.account.{n}", n % 7);
            assert_eq!(subjects.get(&subject).unwrap().live, [n]);
        }
        subjects.remove("bank.ev.0.account.0");
        assert!(subjects.get("bank.ev.0.account.0").is_none());
        assert_eq!(subjects.values_mut().count(), 1_999);
        subjects.retain(|index| index.live[0] < 10);
        assert_eq!(subjects.values_mut().count(), 9);
    }
}
