//! The files of the kit: JSON lines, the first of which says what the file is.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A file of the kit cannot be used. The text begins with the file and the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct FileError {
    file: String,
    line: usize,
    problem: String,
}

impl FileError {
    pub(super) fn new(file: &str, line: usize, problem: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            problem: problem.into(),
        }
    }

    /// The line that is wrong, from 1 on.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Lines with their numbers, from 1 on.
pub(super) type Lines<'a> = Vec<(usize, &'a str)>;

/// What every first line says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sort {
    /// What the file is.
    pub(super) tenure: String,
    /// The version of its format. Within one, fields may be added that a reader ignores.
    pub(super) format: u32,
}

/// Reads the first line of a file of a sort in its only format, 1; what is left are its other lines
/// with their numbers.
pub(super) fn open<'a, H: DeserializeOwned>(
    file: &str,
    text: &'a str,
    sort: &str,
) -> Result<(H, Lines<'a>), FileError> {
    let mut lines = (1..).zip(text.lines());
    let (_, first) = lines
        .next()
        .ok_or_else(|| FileError::new(file, 1, format!("it is empty, and no {sort}")))?;
    let Sort { tenure, format } = line(file, 1, first)?;
    if tenure != sort {
        let problem = format!("it holds {tenure:?}, not {sort:?}");
        return Err(FileError::new(file, 1, problem));
    }
    if format != 1 {
        let problem = format!(
            "its format is {format}, this build reads format 1: use a build that reads it, or make the file anew"
        );
        return Err(FileError::new(file, 1, problem));
    }
    Ok((line(file, 1, first)?, lines.collect()))
}

/// Reads one line.
pub(super) fn line<T: DeserializeOwned>(
    file: &str,
    number: usize,
    text: &str,
) -> Result<T, FileError> {
    serde_json::from_str(text).map_err(|error| {
        // The error's own line is always 1.
        let error = error.to_string();
        let what = error.replace(" at line 1 column", ", column");
        FileError::new(file, number, format!("the line is damaged: {what}"))
    })
}

/// One line, without its end.
pub(super) fn to_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists of them")
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn unhex(text: &str) -> Option<Bytes> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes = digits?
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect::<Vec<u8>>();
    Some(bytes.into())
}
