//! What the examples share: the bank account of `accounting`.

pub mod account;
