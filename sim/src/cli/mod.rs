//! What the simulator is told, and how it ends.
//!
//! The first line of each command says how to get here again. The exit code says what came of it: 0
//! nothing was broken, 2 the command line or a file is wrong, 10 a safety promise was broken, 11
//! something good did not happen, 12 two runs of one seed differed, or a flight came out in another way,
//! 13 a panic, 14 a place that has to be passed was not, 141 nobody read on.

mod bench;
mod mutants;
mod options;
mod replay;
mod run;
mod smaller;
mod swarm;
mod told;

use clap::Parser;
use options::{Action, Arguments};
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

/// The command line, or a file that it names, is wrong.
const USAGE: u8 = 2;

/// Two runs of the same differed.
const NOT_THE_SAME: u8 = 12;

/// A place that has to be passed was not.
const NOT_COVERED: u8 = 14;

/// Whoever read what is printed went away.
const NO_READER: i32 = 128 + 13;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    end_with_the_reader();
    let done = match Arguments::parse().action {
        Action::Run(options) => run::run(&options),
        Action::Swarm(options) => swarm::run(&options),
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

/// Ends quietly when nobody reads on, as after `| head`; every other panic is told.
fn end_with_the_reader() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        end_if_unread(panic);
        told(panic);
    }));
}

/// Does what may panic as a part of what it finds out.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let told = panic::take_hook();
    panic::set_hook(Box::new(end_if_unread));
    let done = work();
    panic::set_hook(told);
    done
}

fn end_if_unread(panic: &PanicHookInfo<'_>) {
    let text = panic.payload().downcast_ref::<String>();
    if text.is_some_and(|it| it.starts_with("failed printing to stdout")) {
        std::process::exit(NO_READER);
    }
}
