//! What machines ask of a store, and every class of its answers, as data.
//!
//! One finite table: machines emit these requests, shells execute them against a real server, the
//! model store answers them in memory, and the contract test walks all (request, class) pairs.
//! A shell maps and never retries or decides.

mod capabilities;
mod consumer;
mod name;
mod net;
mod refused;
mod request;
pub mod stamp;
mod stream;
mod verify;

pub use capabilities::{Capabilities, ServerVersion};
pub use consumer::{
    ConsumerInfo, ConsumerName, ConsumerSettings, Delivered, FETCH_MESSAGES_MAX, Fetched, Start,
    is_consumer_name, wrong_fetch, wrong_name, wrong_settings,
};
pub use name::{StreamName, Subject};
pub use net::{Delivery, Heard, SendRefused};
pub use refused::{Refused, RefusedClass};
pub use request::{
    Ack, Expect, Fence, Message, Page, Proof, Publish, Rollup, Source, StoreDone, StoreReply,
    StoreRequest,
};
pub use stream::{
    Discard, Mismatch, Persist, Republish, Retention, Storage, StreamInfo, StreamSettings,
};
