//! A program that runs until it is asked to end.

use super::Ended;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running program; killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    printed: String,
}

impl Running {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            output,
            printed: String::new(),
        }
    }

    /// What follows this on the next line that begins with it.
    pub fn line_after(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            let bytes = self.output.read_line(&mut line).expect("it prints UTF-8");
            self.printed.push_str(&line);
            if let Some(rest) = line.trim_end().strip_prefix(begin) {
                return rest.to_owned();
            }
            if bytes == 0 {
                let errors = self.errors();
                panic!("no line {begin:?} in {:?}; {errors:?}", self.printed);
            }
        }
    }

    /// What follows this on a line that was read before.
    fn printed_after(&self, begin: &str) -> &str {
        let mut lines = self.printed.lines();
        let found = lines.find_map(|line| line.strip_prefix(begin));
        found.unwrap_or_else(|| panic!("no line {begin:?} in {:?}", self.printed))
    }

    /// Sends a signal to the process whose number follows this on a line that was read before.
    pub fn signal_after(&self, begin: &str, signal: Signal) {
        let process = self.printed_after(begin).parse().expect("a number");
        let process = Pid::from_raw(process).expect("a process");
        kill_process(process, signal).expect("it runs");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Asks it to end by SIGTERM, and waits until it has.
    pub fn terminate(mut self) -> Ended {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        self.output
            .read_to_string(&mut self.printed)
            .expect("it prints UTF-8");
        let errors = self.errors();
        let status = self.child.wait().expect("it ends");
        Ended {
            code: status.code(),
            printed: std::mem::take(&mut self.printed),
            errors,
        }
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        if let Some(mut stream) = self.child.stderr.take() {
            stream.read_to_string(&mut errors).expect("it prints UTF-8");
        }
        errors
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
