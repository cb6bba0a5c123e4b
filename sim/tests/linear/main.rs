//! The checker of linearizability: histories that have an order and that have none, what nobody knows,
//! what it says of a history without one, and small histories at random against two other checkers.

mod against;
mod known;
mod large;
mod script;
