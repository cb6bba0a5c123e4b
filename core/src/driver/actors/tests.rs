//! The seat with users' actors, in a world whose clock and tasks are moved by hand.

mod actors;
mod bound;
mod brittle;
mod gone;
mod late;
mod life;
mod rig;
mod same;
mod turns;
