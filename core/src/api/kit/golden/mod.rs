//! Golden files: what each type of event was when it was written, kept beside the code.

mod book;
mod reader;

use crate::api::{Aggregate, Event, EventType};
use book::{Book, Encoded, file_name, read_folder, write};
use reader::Reader;
use serde::Serialize;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

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
pub(in crate::api::kit) enum Mode {
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
    pub(in crate::api::kit) fn run(self, mode: Mode) -> Result<Vec<PathBuf>, String> {
        let Self {
            folder,
            examples,
            wrong,
            ..
        } = self;
        let reader = Reader::<A>::new().map_err(|error| error.to_string())?;
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
