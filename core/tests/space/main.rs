//! The stories of opening a namespace: what is asked, what is answered, and what comes of it.

mod faults;
mod grants;
mod kinds;
mod members;
mod model;
mod opening;
mod process;
mod reconnect;
mod refused;
mod store;
mod world;
