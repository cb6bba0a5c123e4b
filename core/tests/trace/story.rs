//! Telling a story: each line of a script is a command to a stage, and what the stage did follows it.

use tenure_core::{Span, Time};

/// What a script gives commands to.
pub(crate) trait Stage {
    /// Carries out one command.
    ///
    /// # Errors
    ///
    /// When the stage has no such command; the text says what it wanted.
    fn command(&mut self, words: &[&str]) -> Result<(), String>;

    /// What was done since the last call, in lines.
    fn take_lines(&mut self) -> Vec<String>;

    /// Checks what must hold at the end of every story, and says what is left over.
    fn end(&mut self);
}

/// The script with what the stage did after each command.
///
/// # Panics
///
/// When a command cannot be carried out; the text names the script's line.
pub(crate) fn tell(name: &str, script: &str, stage: &mut impl Stage) -> String {
    let mut told = String::new();
    let mut say = |lines: Vec<String>| {
        for line in lines {
            told.push_str(line.trim_end());
            told.push('\n');
        }
    };
    for (n, line) in script.lines().enumerate() {
        say(vec![line.to_owned()]);
        let words: Vec<_> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(wanted) = stage.command(&words) {
            panic!("{name}, line {}: {line:?}: {wanted}", n + 1);
        }
        say(indented(stage));
    }
    stage.end();
    say(indented(stage));
    told
}

fn indented(stage: &mut impl Stage) -> Vec<String> {
    let lines = stage.take_lines().into_iter();
    lines.map(|line| format!("  {line}")).collect()
}

/// A span such as `5ms` or `2s`.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    let number = |digits: &str| digits.parse::<u64>().map_err(|e| format!("{text:?}: {e}"));
    if let Some(digits) = text.strip_suffix("ms") {
        return number(digits).map(Span::from_millis);
    }
    match text.strip_suffix('s') {
        Some(digits) => number(digits).map(Span::from_secs),
        None => Err(format!("{text:?} is no span such as 5ms or 2s")),
    }
}

/// Seconds with milliseconds.
pub(crate) fn clock(time: Time) -> String {
    let millis = time.as_nanos() / 1_000_000;
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
