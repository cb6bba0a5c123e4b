//! How an example ends that could not do what it was asked to: one line, and a failure.

use std::error::Error;
use std::process::ExitCode;

/// Prints one line to standard error.
pub fn failed(line: &str) -> ExitCode {
    eprintln!("{line}");
    ExitCode::FAILURE
}

/// The exit code of a run, of which an error is told.
pub fn ended(run: Result<(), Box<dyn Error>>) -> ExitCode {
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}

/// The error itself on one line, without the hints at usage that follow it.
pub fn first_paragraph(told: &str) -> String {
    let lines = told.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
