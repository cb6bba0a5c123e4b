//! The bus under chance: what waits for a subscriber, and the machine that stores what is durable.

mod backlog;
mod publisher;
mod world;
