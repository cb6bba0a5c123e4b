//! Upcasters: how events of old types become events of the types that this build has.
//!
//! Each step leads from one stored type, a name and a version, to the next; a chain of steps ends at
//! types that the aggregate's [`Event`](super::Event) decodes itself. Steps are pure. They are
//! checked as a whole before a kind is used: [`check_upcasters`], [`UpcastersError`].

mod check;
mod read;
mod step;
#[cfg(test)]
mod tests;

pub use check::{Mistake, UpcastersError, check_upcasters};
pub use read::EventReader;
pub(crate) use read::{Decoded, Reading, Steps, StoredEvent};
pub use step::Parts;

use super::model::{EarlierEvent, MessageModel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{self, Display};
use std::sync::Arc;
use step::{Run, Step, TypeRef};

/// A type of event as it is stored: its stable name and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventType {
    /// The stable name.
    pub name: String,
    /// The version of the type.
    pub schema: u16,
}

impl From<(&str, u16)> for EventType {
    fn from((name, schema): (&str, u16)) -> Self {
        let name = name.to_owned();
        Self { name, schema }
    }
}

impl Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} version {}", self.name, self.schema)
    }
}

/// The steps from old types of events to those that a build has, as
/// [`Aggregate::upcasters`](super::Aggregate::upcasters) gives them.
///
/// An event that the aggregate's event type decodes itself is current: no step is looked for. Any
/// other goes through the step from its name and version, and what comes of it goes on until it is
/// current; `evolve`, histories and whatever else reads typed events see current ones only. In the
/// log everything stays as it was written.
///
/// A step is pure: what it gives depends on the fields alone. All events that come of one stored
/// event share its place: its version, its time, its commit.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tenure_core::api::{Aggregate, Event, Fields, Upcasters, check_upcasters};
///
/// #[derive(Debug, tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// enum AccountEvent {
///     #[event(name = "opened", version = 3)]
///     Opened { owner: String, cents: u64 },
///     #[event(name = "deposited", version = 1)]
///     Deposited { cents: u64 },
///     #[event(name = "withdrawn", version = 1)]
///     Withdrawn { cents: u64 },
/// }
///
/// #[derive(Clone, Default)]
/// struct Account { cents: u64 }
///
/// /// How an opening was stored in its second version.
/// #[derive(Serialize, Deserialize)]
/// struct OpenedV2 { owner: String, euros: u64 }
///
/// #[derive(Deserialize)]
/// struct MovedV1 { cents: i64 }
///
/// impl Aggregate for Account {
///     type Event = AccountEvent;
///     const KIND: &'static str = "account";
///
///     fn evolve(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Opened { cents, .. } => self.cents = *cents,
///             AccountEvent::Deposited { cents } => self.cents += cents,
///             AccountEvent::Withdrawn { cents } => self.cents -= cents,
///         }
///     }
///
///     fn upcasters() -> Upcasters {
///         Upcasters::none()
///             // Without a type for what was: fields by their names.
///             .step(("opened", 1), ("opened", 2), |mut fields: Fields| {
///                 fields.set("owner", "unknown");
///                 fields
///             })
///             // Or with serde types.
///             .step(("opened", 2), ("opened", 3), |old: OpenedV2| {
///                 Fields::new().with("owner", old.owner).with("cents", old.euros * 100)
///             })
///             // Another name for the same fields.
///             .rename(("credited", 1), ("deposited", 1))
///             // Into others: one, several or none.
///             .split(
///                 ("moved", 1),
///                 [("deposited", 1), ("withdrawn", 1)],
///                 |old: MovedV1, parts| match old.cents {
///                     0 => {}
///                     cents @ 1.. => parts.event(&AccountEvent::Deposited { cents: cents.unsigned_abs() }),
///                     cents => parts.event(&AccountEvent::Withdrawn { cents: cents.unsigned_abs() }),
///                 },
///             )
///             // Nobody needs it any more.
///             .dropped(("audited", 1))
///     }
/// }
///
/// check_upcasters::<Account>()?;
/// # Ok::<_, tenure_core::api::UpcastersError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Upcasters {
    steps: Vec<Step>,
}

impl Upcasters {
    /// No steps: all stored events are current.
    pub const fn none() -> Self {
        Self { steps: Vec::new() }
    }

    /// A step from the fields of one type to those of the next, both serde types;
    /// [`Fields`](super::Fields) (or [`Value`](super::Value), for an event without named fields)
    /// where a type of its own is not worth it.
    ///
    /// What the old fields do not name is ignored, as serde does, and so left out of what follows;
    /// `Fields` keep it.
    pub fn step<Old, New>(
        self,
        from: (&'static str, u16),
        to: (&'static str, u16),
        step: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> Self
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        self.split(from, [to], move |old, parts| parts.fields(to, &step(old)))
    }

    /// As [`step`](Self::step), for one that may fail. Then the entity cannot be read, and the error
    /// ([`FoldError::Upcast`](crate::log::FoldError::Upcast)) names event, step and cause.
    pub fn try_step<Old, New, E>(
        self,
        from: (&'static str, u16),
        to: (&'static str, u16),
        step: impl Fn(Old) -> Result<New, E> + Send + Sync + 'static,
    ) -> Self
    where
        Old: DeserializeOwned,
        New: Serialize,
        E: Display,
    {
        self.split(from, [to], move |old, parts| match step(old) {
            Ok(new) => parts.fields(to, &new),
            Err(cause) => parts.fail(cause),
        })
    }

    /// Another name, or another version, for the very same fields.
    pub fn rename(self, from: (&'static str, u16), to: (&'static str, u16)) -> Self {
        self.with(from, [to], move |_, data, parts| {
            parts.encoded(to, data.to_vec().into());
        })
    }

    /// A step from one event to any number of others, which [`Parts`] takes in their order; only
    /// of the types that `to` lists.
    pub fn split<Old: DeserializeOwned>(
        self,
        from: (&'static str, u16),
        to: impl IntoIterator<Item = (&'static str, u16)>,
        step: impl Fn(Old, &mut Parts<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.with(from, to, move |codec, data, parts| {
            match codec.decode::<Old>(data) {
                Ok(old) => step(old, parts),
                Err(error) => parts.fail(format!("its fields do not fit: {error}")),
            }
        })
    }

    /// Events of this type mean nothing any more and are left out, on purpose: unlike
    /// [skipped](super::UnknownEvents::Skip) ones they are not counted.
    pub fn dropped(self, from: (&'static str, u16)) -> Self {
        self.with(from, [], |_, _, _| {})
    }

    /// What they read that only the log has, each with what its step makes of it.
    pub(crate) fn earlier(&self) -> Vec<EarlierEvent> {
        let model = |(name, version): &TypeRef| MessageModel {
            name: (*name).to_owned(),
            version: *version,
        };
        let earlier = self.steps.iter().map(|step| EarlierEvent {
            name: step.from.0.to_owned(),
            version: step.from.1,
            becomes: step.to.iter().map(model).collect(),
        });
        let mut earlier: Vec<_> = earlier.collect();
        earlier.sort();
        earlier
    }

    fn with(
        mut self,
        from: (&'static str, u16),
        to: impl IntoIterator<Item = (&'static str, u16)>,
        run: impl Fn(crate::format::Codec, &[u8], &mut Parts<'_>) + Send + Sync + 'static,
    ) -> Self {
        let run: Arc<Run> = Arc::new(run);
        let to = to.into_iter().collect();
        self.steps.push(Step { from, to, run });
        self
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}
