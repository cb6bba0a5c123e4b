//! Holds a history of `chaos` against what Tenure promises: what was acknowledged is there, once, in
//! the order of real time, by one owner at a time, and no answer came after its deadline. It shares no
//! code with the program that wrote the history.

mod fenced;
mod intervals;
mod leased;
mod read;
mod verdict;

use clap::Parser;
use read::{Class, History};
use std::path::PathBuf;
use std::process::ExitCode;
use verdict::Verdict;

/// Holds a history of chaos against the promises; each one that is broken is told on a line.
#[derive(Debug, Parser)]
#[command(name = "check")]
struct Options {
    /// The history that `chaos --history FILE` wrote
    file: PathBuf,
    /// By how many milliseconds an answer may be noted after its deadline: the writer is scheduled as
    /// any program is
    #[arg(long, default_value_t = 500)]
    tolerance_ms: u64,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

fn checked(history: &History, tolerance_us: u64) -> Verdict {
    let mut verdict = Verdict::of(history);
    if history.asks_said != Some(history.asks.len() as u64) {
        let (there, said) = (history.asks.len(), history.asks_said);
        verdict.broken(
            "cut",
            format!("the history has {there} asks and its end says {said:?}"),
        );
    }
    for ask in &history.asks {
        let latest_us = ask.deadline_us.saturating_add(tolerance_us);
        if ask.end_us > latest_us {
            let late_us = ask.end_us - ask.deadline_us;
            let text = format!("{} ended {late_us} us after its deadline", ask.named());
            verdict.broken("late", text);
        }
        if ask.end_us < ask.start_us {
            verdict.broken("cut", format!("{} ended before it began", ask.named()));
        }
    }
    fenced::check(&history.of(Class::Fenced), &mut verdict);
    leased::check(&history.of(Class::Leased), &mut verdict);
    verdict
}

fn main() -> ExitCode {
    let options = Options::parse();
    let history = match read::history(&options.file) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let verdict = checked(&history, options.tolerance_ms.saturating_mul(1_000));
    if options.json {
        println!("{}", verdict.json());
    } else {
        print!("{}", verdict.text());
    }
    if verdict.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
