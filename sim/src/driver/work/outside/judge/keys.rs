//! The idempotency key of an effect is the same at each call, by whatever node, and in its dead letter; and it
//! is of no other effect (P7, G3).

use super::super::book::Book;
use super::super::entity::Bill;
use super::Judged;
use std::collections::BTreeMap;

pub(super) fn judge(book: &Book) -> Judged {
    let (mut keys, mut bills) = (BTreeMap::new(), BTreeMap::new());
    let calls = book.calls.iter().map(|call| (call.bill, &call.key));
    let letters = book.letters.iter().map(|seen| (seen.bill, &seen.key));
    for (bill, key) in calls.chain(letters) {
        let other: &String = keys.entry(bill).or_insert(key);
        if other != key {
            return Err(format!("{bill:?} has the keys {other} and {key}"));
        }
        let other: Bill = *bills.entry(key).or_insert(bill);
        if other != bill {
            return Err(format!("{other:?} and {bill:?} have one key, {key}"));
        }
    }
    Ok(())
}
