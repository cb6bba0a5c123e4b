//! Golden files as they are on disk.

use super::Found;
use super::reader::Reader;
use crate::api::kit::file::{FileError, line, open, to_line, unhex};
use crate::api::kit::view::view_of_bytes;
use crate::api::{Aggregate, EventType};
use crate::format::Codec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const SORT: &str = "golden events";

/// The codecs, and what people call them.
pub(super) const CODECS: [(Codec, &str); 2] = [(Codec::Cbor, "CBOR"), (Codec::Json, "JSON")];

/// An event's fields in the codecs that take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) cbor: Option<Bytes>,
    pub(super) json: Option<Bytes>,
}

impl Encoded {
    pub(super) fn new<E>(encode: impl Fn(Codec) -> Result<Bytes, E>) -> Self {
        Self {
            cbor: encode(Codec::Cbor).ok(),
            json: encode(Codec::Json).ok(),
        }
    }

    pub(super) fn of(&self, codec: Codec) -> Option<&Bytes> {
        match codec {
            Codec::Cbor => self.cbor.as_ref(),
            Codec::Json => self.json.as_ref(),
        }
    }

    /// What the fields look like.
    pub(super) fn view(&self) -> Json {
        let seen = CODECS
            .iter()
            .find_map(|(codec, _)| Some((*codec, self.of(*codec)?)));
        seen.map_or(Json::Null, |(codec, bytes)| view_of_bytes(codec, bytes))
    }
}

/// The first line of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    tenure: String,
    format: u32,
    kind: String,
    event: String,
    schema: u16,
}

/// Any other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Example {
    pub(super) fields: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cbor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) json: Option<String>,
    pub(super) becomes: Vec<Became>,
}

/// A current event that an example becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Became {
    pub(super) event: String,
    pub(super) schema: u16,
    pub(super) fields: Json,
}

impl Example {
    pub(super) fn encoded(&self, file: &str, number: usize) -> Result<Encoded, FileError> {
        let digits = |text: &String| {
            let problem = "the line is damaged: \"cbor\" is not pairs of hexadecimal digits";
            unhex(text).ok_or_else(|| FileError::new(file, number, problem))
        };
        Ok(Encoded {
            cbor: self.cbor.as_ref().map(digits).transpose()?,
            json: self.json.clone().map(Bytes::from),
        })
    }
}

/// One file as it is and as it shall be.
pub(super) struct Book {
    pub(super) path: PathBuf,
    pub(super) of: EventType,
    pub(super) examples: Vec<(usize, Example)>,
    pub(super) changed: bool,
}

/// The files that are there, by their types.
pub(super) fn read_folder<A: Aggregate>(
    folder: &Path,
    reader: &Reader<A>,
    found: &mut Found,
) -> Result<BTreeMap<EventType, Book>, String> {
    let mut books = BTreeMap::new();
    let names = match fs::read_dir(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(books),
        Err(error) => return Err(format!("{} cannot be read: {error}", folder.display())),
    };
    let paths = names.map(|entry| entry.map(|entry| entry.path()));
    let paths: Result<BTreeSet<PathBuf>, _> = paths.collect();
    let paths = paths.map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let known = reader.known();
    for path in paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
    {
        let file = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|e| format!("{file} cannot be read: {e}"))?;
        match read_book::<A>(&path, &file, &text) {
            Ok(book) if known.contains(&book.of) => {
                books.insert(book.of.clone(), book);
            }
            Ok(book) => found.wrong.push(format!(
                "{file}: this build does not know {} any more, and logs may hold it; keep it as a variant or add an upcaster from it, or delete the file if no log has it",
                book.of
            )),
            Err(error) => found.wrong.push(error.to_string()),
        }
    }
    Ok(books)
}

fn read_book<A: Aggregate>(path: &Path, file: &str, text: &str) -> Result<Book, FileError> {
    let (header, lines) = open::<Header>(file, text, SORT)?;
    let of = EventType {
        name: header.event,
        schema: header.schema,
    };
    if header.kind != A::KIND {
        let problem = format!("its kind is {:?}, not {:?}", header.kind, A::KIND);
        return Err(FileError::new(file, 1, problem));
    }
    if path
        .file_name()
        .is_none_or(|name| name != file_name(&of).as_str())
    {
        let problem = format!("the file of {of} is to be named {}", file_name(&of));
        return Err(FileError::new(file, 1, problem));
    }
    let examples = lines
        .into_iter()
        .map(|(number, text)| Ok((number, line(file, number, text)?)));
    Ok(Book {
        path: path.to_owned(),
        of,
        examples: examples.collect::<Result<_, FileError>>()?,
        changed: false,
    })
}

pub(super) fn write<A: Aggregate>(folder: &Path, book: &Book) -> Result<PathBuf, String> {
    let header = Header {
        tenure: SORT.to_owned(),
        format: 1,
        kind: A::KIND.to_owned(),
        event: book.of.name.clone(),
        schema: book.of.schema,
    };
    let mut text = to_line(&header) + "\n";
    for (_, example) in &book.examples {
        text += &(to_line(example) + "\n");
    }
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&book.path, text))
        .map_err(|error| format!("{} cannot be written: {error}", book.path.display()))?;
    Ok(book.path.clone())
}

/// The file of a type, as it is named on every system: letters, digits, '-' and '_' stand for
/// themselves, every other byte is `%XX`.
pub(super) fn file_name(of: &EventType) -> String {
    let mut name = String::new();
    for byte in of.name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            byte => name += &format!("%{byte:02X}"),
        }
    }
    format!("{name}.v{}.jsonl", of.schema)
}
