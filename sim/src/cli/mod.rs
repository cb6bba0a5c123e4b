//! What the simulator is told, and how it ends.
//!
//! The first line of each command says how to get here again. The exit code says what came of it: 0
//! nothing was broken, 2 the command line or a file is wrong, 10 a safety promise was broken, 11
//! something good did not happen, 12 two runs of one seed differed, or a
//! flight came out in another way, 13 a panic, 14 a
//! place that has to be passed was not.

mod bench;
mod madsim;
mod mutants;
mod options;
mod replay;
mod run;
mod smaller;
mod swarm;
mod told;

use clap::Parser;
use options::{Action, Arguments, Place};
use std::process::ExitCode;

/// The command line, or a file that it names, is wrong.
const USAGE: u8 = 2;

/// Two runs of the same differed.
const NOT_THE_SAME: u8 = 12;

/// A place that has to be passed was not.
const NOT_COVERED: u8 = 14;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let done = match Arguments::parse().action {
        Action::Run(options) => match options.which.place {
            Place::Here(_) => run::run(&options),
            Place::Madsim => madsim::run(&options),
        },
        Action::Swarm(options) => match options.which.place {
            Place::Here(_) => swarm::run(&options),
            Place::Madsim => madsim::swarm(&options),
        },
        Action::Minimize(options) => smaller::minimized(&options),
        Action::WhatIf(options) => smaller::what_if(&options),
        Action::Explain(options) => smaller::drawn(&options),
        Action::Replay(options) => replay::run(&options),
        Action::Bench(options) => bench::run(&options),
        Action::Mutants(options) => mutants::run(&options),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(USAGE)
        }
    }
}
