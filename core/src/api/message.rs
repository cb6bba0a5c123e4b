//! Messages: commands and questions that can cross the wire.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A command with a stable name and version, and serde's two traits so that it can cross the wire.
///
/// Derive it beside `Serialize` and `Deserialize`.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The message's stable name.
    const NAME: &'static str;
    /// The version of the message's type.
    const VERSION: u16;
}
