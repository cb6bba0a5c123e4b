use serde::{Deserialize, Serialize};
use tenure_macros::Message;

#[derive(Serialize, Deserialize, Message)]
struct Nameless;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "generic", version = 1)]
struct Generic<T>(T);

fn main() {}
