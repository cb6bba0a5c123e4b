//! Order in real time: of two asks one was before the other only if it had ended when that began.

/// Something that happened at a moment between two times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval<T> {
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    /// What has to rise.
    pub(crate) rank: u64,
    pub(crate) what: T,
}

/// Each one that another one of higher rank, or for those that are `strict` of the same, had ended
/// before, with the latter.
pub(crate) fn overtaken<T: Copy>(
    mut all: Vec<Interval<T>>,
    strict: impl Fn(T) -> bool,
) -> Vec<(T, T)> {
    let mut by_end = all.clone();
    by_end.sort_by_key(|one| one.end_us);
    all.sort_by_key(|one| one.start_us);
    let mut ended = by_end.into_iter().peekable();
    let mut highest: Option<Interval<T>> = None;
    let mut found = Vec::new();
    for one in all {
        while let Some(before) = ended.next_if(|before| before.end_us < one.start_us) {
            if highest.is_none_or(|highest| before.rank > highest.rank) {
                highest = Some(before);
            }
        }
        let Some(before) = highest else { continue };
        if before.rank > one.rank || (before.rank == one.rank && strict(one.what)) {
            found.push((one.what, before.what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Interval, overtaken};

    fn at(start_us: u64, end_us: u64, rank: u64) -> Interval<u64> {
        let what = rank;
        Interval {
            start_us,
            end_us,
            rank,
            what,
        }
    }

    #[test]
    fn only_those_that_do_not_overlap_have_an_order() {
        assert!(overtaken(vec![at(0, 9, 2), at(5, 7, 1)], |_| true).is_empty());
        assert_eq!(
            overtaken(vec![at(0, 4, 2), at(5, 7, 1)], |_| true),
            [(1, 2)]
        );
        assert_eq!(
            overtaken(vec![at(0, 4, 2), at(5, 7, 2)], |_| true),
            [(2, 2)]
        );
        assert!(overtaken(vec![at(0, 4, 2), at(5, 7, 2)], |_| false).is_empty());
    }
}
