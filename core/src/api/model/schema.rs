//! What the fields of events are, for readers in other languages (JSON Schema).

use super::super::Event;
use schemars::{JsonSchema, SchemaGenerator};

/// What the fields of one event type are.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSchema {
    /// The event's stable name.
    pub name: &'static str,
    /// The version of its type.
    pub version: u16,
    /// The schema (JSON Schema, draft 2020-12), with the name as its title. Kinds that are encoded as CBOR
    /// have the same fields there.
    pub schema: serde_json::Value,
}

/// Events whose fields can be told to programs in other languages.
///
/// `#[derive(Event)]` implements it where the events say so; the types of their fields implement
/// [`schemars::JsonSchema`].
///
/// ```
/// # use tenure_core::api::model::EventSchemas;
/// #[derive(tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// #[event(schemas)]
/// enum AccountEvent {
///     #[event(name = "deposited", version = 1)]
///     Deposited { cents: i64 },
/// }
/// let deposited = &AccountEvent::schemas()[0];
/// assert_eq!(deposited.schema["properties"]["cents"]["type"], "integer");
/// ```
pub trait EventSchemas: Event {
    /// One schema for each of [`TYPES`](Event::TYPES).
    fn schemas() -> Vec<EventSchema>;
}

/// The schema of a type, as one of an event's fields.
pub fn schema_of<T: JsonSchema>(name: &'static str, version: u16) -> EventSchema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), format!("{name} v{version}").into());
    EventSchema {
        name,
        version,
        schema: schema.to_value(),
    }
}
