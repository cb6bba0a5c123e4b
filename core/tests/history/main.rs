//! The reader of an entity's log as it was, against the model store: pages and ranges of its
//! history, and what its state at one place is made of.

#[path = "../common/chance.rs"]
mod chance;
mod naive;
mod pages;
mod ranges;
mod states;
mod world;
