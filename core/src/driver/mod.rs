//! The driver: the one asynchronous loop that feeds machines and runs their effects through a
//! [`Shell`]. It makes no decision.

mod shell;

pub use shell::{Inbound, Shell, TaskHandle};
