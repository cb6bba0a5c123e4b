//! What came of an effect is taken into its entity once, however often it was called and told: it is told under
//! the effect's key as the command's id (P4, P7). And only what was carried out is told.

use super::super::book::Book;
use super::{Judged, Wanted};

pub(super) fn judge(wanted: &Wanted, book: &Book) -> Judged {
    for (bill, paid) in &wanted.paid {
        if paid.len() > 1 {
            return Err(format!(
                "{bill:?} is paid {} times, at {paid:?} ns",
                paid.len()
            ));
        }
        match (paid.first(), book.done.get(bill)) {
            (Some(paid), Some(done)) if done <= paid => {}
            (paid, done) => {
                return Err(format!(
                    "{bill:?} is told to be paid at {paid:?} ns, and carried out at {done:?} ns"
                ));
            }
        }
    }
    Ok(())
}
