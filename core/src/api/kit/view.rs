//! Encoded values as people read them and files compare them.

use super::file::hex;
use crate::api::{CodecError, Value};
use crate::format::Codec;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// What a value looks like in JSON. What JSON has not stands under a name that begins with `$`.
pub(super) fn view(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(*value),
        Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => Json::from(value),
            (Err(_), Ok(value)) => Json::from(value),
            (Err(_), Err(_)) => json!({ "$integer": value.to_string() }),
        },
        Value::Float(value) if value.is_finite() => Json::from(*value),
        Value::Float(value) => json!({ "$float": value.to_string() }),
        Value::Bytes(bytes) => json!({ "$bytes": hex(bytes) }),
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(values) => values.iter().map(view).collect(),
        Value::Map(entries) => by_names(entries).map_or_else(
            || {
                let pairs = entries
                    .iter()
                    .map(|(key, value)| json!([view(key), view(value)]));
                json!({ "$map": pairs.collect::<Json>() })
            },
            Json::Object,
        ),
    }
}

/// The entries of a map whose keys are texts.
fn by_names(entries: &[(Value, Value)]) -> Option<Map<String, Json>> {
    let entry = |(key, value): &(Value, Value)| match key {
        Value::Text(name) => Some((name.clone(), view(value))),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => None,
    };
    entries.iter().map(entry).collect()
}

/// What encoded bytes look like; the bytes themselves where there is no such look.
pub(super) fn view_of_bytes(codec: Codec, bytes: &[u8]) -> Json {
    match codec.decode::<Value>(bytes) {
        Ok(value) => view(&value),
        Err(_) => json!({ "$encoded": hex(bytes) }),
    }
}

/// What a serde value looks like.
pub(super) fn view_of(value: &impl Serialize) -> Result<Json, CodecError> {
    Ok(view(&Value::of(value)?))
}

/// Where two values differ: the path, what was, and what is.
pub(super) fn differences(was: &Json, is: &Json) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    compare("state", Some(was), Some(is), &mut found);
    found
}

fn compare(
    path: &str,
    was: Option<&Json>,
    is: Option<&Json>,
    found: &mut Vec<(String, String, String)>,
) {
    match (was, is) {
        (Some(Json::Object(was)), Some(Json::Object(is))) => {
            let fresh = is.keys().filter(|key| !was.contains_key(*key));
            for key in was.keys().chain(fresh) {
                compare(&format!("{path}.{key}"), was.get(key), is.get(key), found);
            }
        }
        (Some(Json::Array(was)), Some(Json::Array(is))) => {
            for index in 0..was.len().max(is.len()) {
                let path = format!("{path}[{index}]");
                compare(&path, was.get(index), is.get(index), found);
            }
        }
        (was, is) if was == is => {}
        (was, is) => {
            let text = |json: Option<&Json>| match json {
                Some(json) => json.to_string(),
                None => "absent".to_owned(),
            };
            found.push((path.to_owned(), text(was), text(is)));
        }
    }
}
