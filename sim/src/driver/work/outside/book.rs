//! What the outside was asked to do, and did: no crash of a node reaches it.

use super::entity::Bill;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::api::effect::{DeadEffect, EffectCall};

/// One call of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// When it began, in true nanoseconds.
    pub(super) at: u64,
    pub(super) node: usize,
    pub(super) bill: Bill,
    pub(super) key: String,
    /// The kind and the id of the entity that wanted it.
    pub(super) wanted_by: (String, String),
}

/// A dead letter that somebody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// In true nanoseconds.
    pub(super) at: u64,
    pub(super) key: String,
    pub(super) bill: Bill,
    pub(super) wanted_by: (String, String),
    pub(super) tries: u32,
}

/// All that is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) calls: Vec<Call>,
    /// How often each was tried.
    tries: BTreeMap<Bill, u64>,
    /// When each was carried out first.
    pub(super) done: BTreeMap<Bill, u64>,
    /// Those that the shop may have forgotten: too long ago for the id that they are told under.
    pub(super) expired: BTreeSet<Bill>,
    pub(super) letters: Vec<Seen>,
    /// Letters that somebody removed, or may have.
    pub(super) removed: BTreeSet<Bill>,
    /// Bills that can be carried out since.
    mended: BTreeSet<Bill>,
    /// Nothing befalls a handler any more.
    pub(super) well: bool,
}

/// What a try knows of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) bill: Bill,
    /// The how manieth it is, from 1.
    pub(super) nth: u64,
    pub(super) mended: bool,
    pub(super) well: bool,
}

impl Book {
    /// A call begins.
    pub(super) fn begins(&mut self, at: u64, node: usize, call: &EffectCall<Bill>) -> Given {
        let bill = call.effect;
        self.calls.push(Call {
            at,
            node,
            bill,
            key: call.key(),
            wanted_by: (call.kind().to_string(), call.id().as_str().to_owned()),
        });
        let nth = self.tries.entry(bill).or_default();
        *nth += 1;
        Given {
            bill,
            nth: *nth,
            mended: self.mended.contains(&bill),
            well: self.well,
        }
    }

    /// It is carried out.
    pub(super) fn does(&mut self, at: u64, bill: Bill) {
        self.done.entry(bill).or_insert(at);
    }

    /// A letter is listed.
    pub(super) fn sees(&mut self, at: u64, letter: &DeadEffect) -> Result<Bill, String> {
        let bill = letter.decode::<Bill>();
        let bill =
            bill.map_err(|error| format!("letter {} cannot be read: {error}", letter.key))?;
        self.letters.push(Seen {
            at,
            key: letter.key.clone(),
            bill,
            wanted_by: (letter.kind.clone(), letter.id.clone()),
            tries: letter.tries,
        });
        Ok(bill)
    }

    /// It can be carried out from now on.
    pub(super) fn mends(&mut self, bill: Bill) {
        self.mended.insert(bill);
    }
}
