//! An effect is intended exactly once, and called only when the commit that wants it is stored, for the entity
//! that wanted it (P7, G3).

use super::super::book::Book;
use super::super::entity::Shop;
use super::{Judged, Wanted};
use tenure_core::api::Aggregate as _;

pub(super) fn judge(wanted: &Wanted, book: &Book) -> Judged {
    if let Some((bill, all)) = wanted.bills.iter().find(|(_, all)| all.len() > 1) {
        return Err(format!("{bill:?} is wanted by several commits: {all:?}"));
    }
    for call in &book.calls {
        let (bill, at) = (call.bill, call.at);
        let Some((stored, shop)) = wanted.bills.get(&bill).and_then(|all| all.first()) else {
            return Err(format!(
                "{bill:?} is called at {at} ns, and no commit wants it"
            ));
        };
        if *stored > at {
            return Err(format!(
                "{bill:?} is called at {at} ns, and stored at {stored} ns"
            ));
        }
        let (kind, id) = &call.wanted_by;
        if (kind.as_str(), id) != (Shop::KIND, shop) {
            return Err(format!("{bill:?} is of {shop}, and called for {kind} {id}"));
        }
    }
    Ok(())
}
