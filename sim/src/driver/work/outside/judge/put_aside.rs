//! What is put aside was tried as often as its policy says, and says whose it is (P7).

use super::super::book::Book;
use super::Judged;
use std::collections::BTreeMap;

pub(super) fn judge(book: &Book, tries_max: u32) -> Judged {
    let of_calls: BTreeMap<_, _> = book
        .calls
        .iter()
        .map(|it| (it.bill, &it.wanted_by))
        .collect();
    for seen in &book.letters {
        let (bill, at, tries) = (seen.bill, seen.at, seen.tries);
        if tries < tries_max {
            return Err(format!(
                "{bill:?} is put aside by {at} ns after {tries} tries of {tries_max}"
            ));
        }
        let before = |call: &&super::super::book::Call| call.bill == bill && call.at <= at;
        let calls = book.calls.iter().filter(before).count();
        if (calls as u64) < u64::from(tries_max) {
            return Err(format!(
                "{bill:?} is put aside by {at} ns, and was called {calls} times of {tries_max}"
            ));
        }
        if of_calls.get(&bill) != Some(&&seen.wanted_by) {
            let (letter, calls) = (&seen.wanted_by, of_calls.get(&bill));
            return Err(format!(
                "{bill:?} is of {letter:?} as a letter, and was called for {calls:?}"
            ));
        }
    }
    Ok(())
}
