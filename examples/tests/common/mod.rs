//! How the tests run an example: as the program that users start.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod http;
pub mod running;

use serde_json::Value;
use std::process::Command;

/// An example, as cargo built it: `env!("CARGO_BIN_EXE_<name>")`.
#[derive(Clone, Copy, Debug)]
pub struct Program(pub &'static str);

/// How it ended, and what it printed to its two outputs.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub printed: String,
    pub errors: String,
}

impl Program {
    /// Runs it to its end.
    pub fn run(self, arguments: &[&str]) -> Ended {
        let output = Command::new(self.0).args(arguments).output();
        let output = output.expect("the example runs");
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        Ended {
            code: output.status.code(),
            printed: text(output.stdout),
            errors: text(output.stderr),
        }
    }

    /// What it printed, when it went well.
    pub fn succeeds(self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended
    }

    /// The object of JSON on its last line, when it went well.
    pub fn tells(self, arguments: &[&str]) -> Value {
        let ended = self.succeeds(&[arguments, &["--json"]].concat());
        let line = ended.printed.lines().last().expect("a line");
        serde_json::from_str(line).expect("an object of JSON")
    }

    /// What it failed with, which is one line; it may have printed so many before.
    pub fn fails(self, arguments: &[&str], printed_max: usize) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert_eq!(ended.errors.lines().count(), 1, "{arguments:?}: {ended:?}");
        let printed = ended.printed.lines().count();
        assert!(printed <= printed_max, "{arguments:?}: {ended:?}");
        ended.errors
    }
}
