//! Golden files: what each type of event was when it was written, kept beside the code.

use super::file::{FileError, hex, line, open, to_line, unhex};
use super::view::view_of_bytes;
use crate::api::upcast::{Reading, Steps, StoredEvent};
use crate::api::{Aggregate, Event, EventType};
use crate::format::Codec;
use crate::id::Version;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

const SORT: &str = "golden events";
const CODECS: [(Codec, &str); 2] = [(Codec::Cbor, "CBOR"), (Codec::Json, "JSON")];

/// Begins a test against the golden files of an aggregate's events in a folder; a relative path is
/// seen from the package, as `cargo test` runs tests there.
///
/// There is one file for each type of event (name and version) that the build reads: its current
/// ones, and those that its [upcasters](Aggregate::upcasters) begin with. In it stand examples: the
/// bytes in each codec, what they look like, and which current events they become. The test fails
///
/// - when an example cannot be read any more, or becomes something else than it did;
/// - when a type has a file and this build does not know it any more;
/// - when a type has no file, or an example given here is not in it.
///
/// Files are written only when `TENURE_GOLDEN=write` is in the environment: what is missing is
/// added then, and nothing is replaced. `TENURE_GOLDEN=accept` also records what the examples
/// become now; their bytes stay, since it is they that are in the log. When a version is retired
/// on purpose, because no log has it any more, its file is deleted.
///
/// ```
/// # use tenure_core::api::{Aggregate, Fields, Upcasters, kit::golden};
/// # #[derive(Clone, Debug, Default)] struct Account { cents: u64 }
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 2)] Deposited { cents: u64 } }
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, _: &AccountEvent) {}
/// #     fn upcasters() -> Upcasters {
/// #         Upcasters::none().step(("deposited", 1), ("deposited", 2), |mut old: Fields| { old.rename("amount", "cents"); old })
/// #     }
/// # }
/// # fn example() {
/// golden::<Account>("tests/golden/account")
///     .event(AccountEvent::Deposited { cents: 100 })
///     // Of a type that is gone, written as it was; only until its file is there.
///     .stored(("deposited", 1), &Fields::new().with("amount", 100))
///     .check();
/// # }
/// ```
pub fn golden<A: Aggregate>(folder: impl AsRef<Path>) -> Golden<A> {
    Golden {
        folder: folder.as_ref().to_owned(),
        examples: Vec::new(),
        wrong: Vec::new(),
        aggregate: PhantomData,
    }
}

/// Golden files and examples for them. See [`golden`].
#[must_use = "call `check` to compare"]
pub struct Golden<A> {
    folder: PathBuf,
    examples: Vec<(EventType, Encoded)>,
    wrong: Vec<String>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for Golden<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Golden")
            .field("folder", &self.folder)
            .field("examples", &self.examples.len())
            .finish_non_exhaustive()
    }
}

/// What may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Compare,
    /// What is missing.
    Write,
    /// That, and what examples become now.
    Accept,
}

impl Mode {
    const VARIABLE: &'static str = "TENURE_GOLDEN";

    fn of_environment() -> Result<Self, String> {
        match std::env::var(Self::VARIABLE) {
            Err(_) => Ok(Self::Compare),
            Ok(value) => match value.as_str() {
                "" => Ok(Self::Compare),
                "write" => Ok(Self::Write),
                "accept" => Ok(Self::Accept),
                other => Err(format!(
                    "{} is {other:?}; use write or accept, or leave it unset",
                    Self::VARIABLE
                )),
            },
        }
    }
}

/// An event's fields in the codecs that take them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Encoded {
    cbor: Option<Bytes>,
    json: Option<Bytes>,
}

impl Encoded {
    fn new<E>(encode: impl Fn(Codec) -> Result<Bytes, E>) -> Self {
        Self {
            cbor: encode(Codec::Cbor).ok(),
            json: encode(Codec::Json).ok(),
        }
    }

    fn of(&self, codec: Codec) -> Option<&Bytes> {
        match codec {
            Codec::Cbor => self.cbor.as_ref(),
            Codec::Json => self.json.as_ref(),
        }
    }

    /// What the fields look like.
    fn view(&self) -> Json {
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
struct Example {
    fields: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cbor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    becomes: Vec<Became>,
}

/// A current event that an example becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Became {
    event: String,
    schema: u16,
    fields: Json,
}

impl Example {
    fn encoded(&self, file: &str, number: usize) -> Result<Encoded, FileError> {
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
struct Book {
    path: PathBuf,
    of: EventType,
    examples: Vec<(usize, Example)>,
    changed: bool,
}

impl<A: Aggregate> Golden<A> {
    /// An example of a current event.
    pub fn event(mut self, event: A::Event) -> Self {
        let of = EventType::from((event.name(), event.schema()));
        match event.encode(A::settings().codec) {
            Ok(_) => {
                let encoded = Encoded::new(|codec| event.encode(codec));
                self.examples.push((of, encoded));
            }
            Err(error) => self
                .wrong
                .push(format!("the example of {of} cannot be encoded: {error}")),
        }
        self
    }

    /// Examples of current events.
    pub fn events(self, events: impl IntoIterator<Item = A::Event>) -> Self {
        events.into_iter().fold(self, Self::event)
    }

    /// An example of a type that only upcasters know: its fields as they were stored, by a serde
    /// type or [`Fields`](crate::api::Fields).
    pub fn stored<T: Serialize + ?Sized>(mut self, of: (&str, u16), fields: &T) -> Self {
        let of = EventType::from(of);
        match A::settings().codec.encode(fields) {
            Ok(_) => {
                let encoded = Encoded::new(|codec| codec.encode(fields));
                self.examples.push((of, encoded));
            }
            Err(error) => self
                .wrong
                .push(format!("the example of {of} cannot be encoded: {error}")),
        }
        self
    }

    /// Compares.
    ///
    /// # Panics
    ///
    /// When something differs or is missing: with a list of all of it, and what to do.
    #[track_caller]
    pub fn check(self) {
        let checked = Mode::of_environment().and_then(|mode| self.run(mode));
        match checked {
            Ok(written) => {
                for path in written {
                    println!("written: {}", path.display());
                }
            }
            Err(text) => panic!("{text}"),
        }
    }

    /// Compares; the files that were written, or what is wrong.
    pub(super) fn run(self, mode: Mode) -> Result<Vec<PathBuf>, String> {
        let Self {
            folder,
            examples,
            wrong,
            ..
        } = self;
        let reader = Reader::<A> {
            steps: Steps::of::<A>().map_err(|error| error.to_string())?,
            aggregate: PhantomData,
        };
        let mut found = Found {
            wrong,
            missing: false,
        };
        let mut books = read_folder::<A>(&folder, &reader, &mut found)?;
        for book in books.values_mut() {
            reader.compare(book, mode, &mut found);
        }
        for (of, encoded) in examples {
            if !reader.known().contains(&of) {
                found.wrong.push(format!(
                    "an example is given of {of}, which this build does not know; remove it, or add an upcaster from it"
                ));
                continue;
            }
            let path = folder.join(file_name(&of));
            let book = books.entry(of.clone()).or_insert_with(|| Book {
                path,
                of,
                examples: Vec::new(),
                changed: false,
            });
            reader.add(book, &encoded, mode, &mut found);
        }
        for of in reader.known() {
            if !books.contains_key(&of) {
                let name = folder.join(file_name(&of));
                found.wrong.push(format!(
                    "{of} has no golden file {} and no example to write one from; give one (`event` for current events, `stored` for older types)",
                    name.display()
                ));
            }
        }
        if !found.wrong.is_empty() {
            return Err(found.text(&folder, A::KIND));
        }
        let changed = books.into_values().filter(|book| book.changed);
        changed.map(|book| write::<A>(&folder, &book)).collect()
    }
}

/// What is wrong, so far.
struct Found {
    wrong: Vec<String>,
    /// Whether writing would mend some of it.
    missing: bool,
}

impl Found {
    fn text(&self, folder: &Path, kind: &str) -> String {
        let (count, folder) = (self.wrong.len(), folder.display());
        let findings = if count == 1 { "finding" } else { "findings" };
        let mut text = format!(
            "the events of kind {kind} and their golden files in {folder} have {count} {findings}:"
        );
        for wrong in &self.wrong {
            text += &format!("\n- {wrong}");
        }
        if self.missing {
            text += &format!(
                "\nwhat is missing is written when the test runs with {}=write; look at it, and commit it",
                Mode::VARIABLE
            );
        }
        text
    }
}

/// Reads events as the aggregate's build does.
struct Reader<A> {
    steps: Steps,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Reader<A> {
    /// Every type that this build reads.
    fn known(&self) -> BTreeSet<EventType> {
        let current = A::Event::TYPES.iter().copied();
        current
            .chain(self.steps.types())
            .map(EventType::from)
            .collect()
    }

    /// What bytes of a type become, or why they become nothing.
    fn becomes(&self, of: &EventType, codec: Codec, data: &[u8]) -> Result<Vec<Became>, String> {
        let stored = StoredEvent {
            name: &of.name,
            schema: of.schema,
            version: Version(1),
            data,
        };
        let reading = self
            .steps
            .read::<A::Event>(codec, stored)
            .map_err(|e| e.to_string())?;
        let events = match reading {
            Reading::Known(events) => events,
            Reading::Unknown(of) => return Err(format!("this build knows no event {of}")),
        };
        let became = |event: A::Event| {
            let encoded = Encoded::new(|codec| event.encode(codec));
            Became {
                event: event.name().to_owned(),
                schema: event.schema(),
                fields: encoded.view(),
            }
        };
        Ok(events.map(became).collect())
    }

    /// Holds the examples of a file against this build.
    fn compare(&self, book: &mut Book, mode: Mode, found: &mut Found) {
        let file = book.path.display().to_string();
        for (number, example) in &mut book.examples {
            let encoded = match example.encoded(&file, *number) {
                Ok(encoded) => encoded,
                Err(error) => {
                    found.wrong.push(error.to_string());
                    continue;
                }
            };
            for (codec, codec_name) in CODECS {
                let Some(data) = encoded.of(codec) else {
                    continue;
                };
                let told = match self.becomes(&book.of, codec, data) {
                    Ok(becomes) if becomes == example.becomes => continue,
                    Ok(becomes) if mode == Mode::Accept => {
                        example.becomes = becomes;
                        book.changed = true;
                        continue;
                    }
                    Ok(becomes) => format!(
                        "becomes {} and became {}; if that is meant, run the test with {}=accept, else raise the event's version and keep the old one readable",
                        to_line(&becomes),
                        to_line(&example.becomes),
                        Mode::VARIABLE
                    ),
                    Err(cause) => format!(
                        "cannot be read any more ({cause}); give the changed event a new version, and keep this one as a variant or add an upcaster from it"
                    ),
                };
                let of = &book.of;
                found
                    .wrong
                    .push(format!("{file}:{number}: {of} in {codec_name} {told}"));
            }
        }
    }

    /// Adds an example to a file that has not got it.
    fn add(&self, book: &mut Book, encoded: &Encoded, mode: Mode, found: &mut Found) {
        let fields = encoded.view();
        if book
            .examples
            .iter()
            .any(|(_, example)| example.fields == fields)
        {
            return;
        }
        let (of, file) = (&book.of, book.path.display());
        if mode == Mode::Compare {
            found.missing = true;
            found
                .wrong
                .push(format!("{file} has no example of {of} with {fields}"));
            return;
        }
        let codec = A::settings().codec;
        let data = encoded.of(codec).expect("tried when the example was given");
        let becomes = match self.becomes(of, codec, data) {
            Ok(becomes) => becomes,
            Err(cause) => {
                found.wrong.push(format!(
                    "the example of {of} with {fields} cannot be read: {cause}"
                ));
                return;
            }
        };
        // The kind's own codec is what counts; the other is kept where it tells the same.
        let kept = |other: Codec| {
            let data = encoded.of(other)?;
            let same = other == codec || self.becomes(of, other, data).as_ref() == Ok(&becomes);
            same.then_some(data)
        };
        let example = Example {
            fields,
            cbor: kept(Codec::Cbor).map(|data| hex(data)),
            json: kept(Codec::Json).map(|data| String::from_utf8_lossy(data).into_owned()),
            becomes,
        };
        let number = book.examples.len() + 2;
        book.examples.push((number, example));
        book.changed = true;
    }
}

/// The files that are there, by their types.
fn read_folder<A: Aggregate>(
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

fn write<A: Aggregate>(folder: &Path, book: &Book) -> Result<PathBuf, String> {
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
fn file_name(of: &EventType) -> String {
    let mut name = String::new();
    for byte in of.name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            byte => name += &format!("%{byte:02X}"),
        }
    }
    format!("{name}.v{}.jsonl", of.schema)
}
