//! What must be true of effects, each in a file of its own with what it is of (P7, P4).
//!
//! Of their order nothing is promised: those of a name are in none (`core/src/log/agenda/lines.rs`), and
//! after a take-over two nodes may carry one out at once.

mod intended;
mod keys;
mod paid;
mod put_aside;
#[cfg(test)]
mod tests;

use super::Outside;
use super::book::Book;
use super::entity::{Bill, Shop, ShopEvent};
use super::shape::Shape;
use crate::driver::sim::Sim;
use crate::oracle::{Class, Violation};
use crate::stage::Record;
use std::collections::BTreeMap;
use tenure_core::api::{Aggregate as _, Event as _, Message as _};
use tenure_core::format::{Codec, Commit};

/// What is wrong, if something is.
type Judged = Result<(), String>;

/// What was stored of shops.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The bills that commits want: when each was stored, in true nanoseconds, and of which shop.
    bills: BTreeMap<Bill, Vec<(u64, String)>>,
    /// When each is told to be paid.
    paid: BTreeMap<Bill, Vec<u64>>,
}

impl Wanted {
    pub(super) fn of(records: &[Record]) -> Result<Self, String> {
        let mut wanted = Self::default();
        for Record { at, message } in records {
            if message.subject.split('.').nth(3) != Some(Shop::KIND) {
                continue;
            }
            let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
            wanted.take(*at, &commit)?;
        }
        Ok(wanted)
    }

    fn take(&mut self, at: u64, commit: &Commit) -> Result<(), String> {
        let shop = commit.entity.as_str();
        let unread = |what: &dyn std::fmt::Display| format!("{shop} cannot be read: {what}");
        let sends = commit.later.iter().flat_map(|later| &later.sends);
        for intent in sends.filter(|intent| &*intent.message.name == Bill::NAME) {
            let bill = intent.codec.decode::<Bill>(&intent.message.data);
            let bill = bill.map_err(|error| unread(&error))?;
            let all = self.bills.entry(bill).or_default();
            all.push((at, shop.to_owned()));
        }
        for event in &commit.events {
            match ShopEvent::decode(&event.name, event.schema, Codec::Cbor, &event.data) {
                Ok(Some(ShopEvent::Paid { bill })) => self.paid.entry(bill).or_default().push(at),
                Ok(Some(ShopEvent::Sold { .. })) => {}
                Ok(None) => return Err(unread(&event.name)),
                Err(error) => return Err(unread(&error)),
            }
        }
        Ok(())
    }
}

/// A bill that is neither paid nor removed, nor one of which nobody will ever know.
pub(super) fn missing(wanted: &Wanted, book: &Book) -> Option<String> {
    let open = |bill: &&Bill| {
        !(wanted.paid.contains_key(bill)
            || book.removed.contains(bill)
            || book.expired.contains(bill))
    };
    let mut all = wanted.bills.keys();
    let open = all.find(open)?;
    Some(match book.done.contains_key(open) {
        true => format!("{open:?} is carried out, and its shop is not told"),
        false => format!("{open:?} is stored, and neither carried out nor put aside"),
    })
}

/// Asks each oracle; where what they rest on is void those alone that rest on no log.
pub(super) fn judge(
    sim: &Sim,
    wanted: &Wanted,
    book: &Book,
    shape: &Shape,
) -> Result<(), Violation> {
    let keys = ("keys", keys::judge(book));
    let oracles = match sim.may_be_damaged() {
        true => vec![keys],
        false => vec![
            keys,
            ("intended", intended::judge(wanted, book)),
            ("paid", paid::judge(wanted, book)),
            ("put-aside", put_aside::judge(book, shape.policy.tries_max)),
        ],
    };
    let mut all = oracles.into_iter();
    let Some((oracle, Err(what))) = all.find(|(_, judged)| judged.is_err()) else {
        return Ok(());
    };
    for call in &book.calls {
        sim.note(&format!("{call:?}"));
    }
    Err(broken(oracle, what))
}

pub(super) fn broken(oracle: &'static str, what: String) -> Violation {
    Violation {
        class: Class::Safety,
        oracle,
        what,
    }
}

impl Outside {
    /// What is wrong by now, if something is.
    pub(super) fn wrongs(&self, sim: &Sim) -> Result<(), Violation> {
        judge(sim, &self.wanted(sim)?, &self.book(), &self.shape)
    }
}
