//! Macros of Tenure: `Event` and `Message`, derived with stable names and versions, and `sim_test`.
//!
//! Use them through the crate `tenure`, which re-exports them beside their traits.

mod attribute;
mod event;
mod message;
mod sim_test;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `Event` for an enum of events, or for a struct that is one event.
///
/// Each variant (or the struct) has `#[event(name = "…", version = n)]`: the name and version that
/// are stored. Variants are unit, newtype, or have named fields; only the fields are encoded, with
/// serde, and `#[serde(…)]` on a field means what it means there.
///
/// Two variants may share a name under different versions: so an older shape stays readable. One
/// that `evolve` shall not see any more is left out, and goes through the aggregate's upcasters.
///
/// `#[event(crate = "path")]` on the type names the path of the traits where it is not `::tenure`.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    event::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives `Message` for a command: `#[message(name = "…", version = n)]`.
///
/// The type also derives serde's `Serialize` and `Deserialize`.
///
/// `#[message(crate = "path")]` names the path of the traits where it is not `::tenure`.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    message::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Runs an async test on simulated clusters, one for each seed: `#[sim_test(seeds = 200, faults =
/// "storm", nodes = 3, serve(Account), actor(Clerk))]` on an `async fn(sim: Sim)`, which returns
/// nothing or a `Result`.
///
/// - `seeds`: how many; 100 when it is not set.
/// - `faults`: what may go wrong, by its profile's name; `"storm"`, which is everything, when it is
///   not set.
/// - `nodes`, `shards`: how many; as each seed says when they are not set.
/// - `within_s`: after how many seconds of simulated time it has failed if it has not ended; 600 when it is
///   not set.
/// - `serve(…)`, `actor(…)`: the entities and actors that each node has.
/// - `effect(…)`: functions without arguments, each of which gives an `EffectHandler` that each node has.
/// - `crate = "path"`: the path of `tenure` where it is not `::tenure`.
///
/// The first seed that fails is told with the line that gets there again.
#[proc_macro_attribute]
pub fn sim_test(arguments: TokenStream, test: TokenStream) -> TokenStream {
    let test = parse_macro_input!(test as syn::ItemFn);
    sim_test::expand(arguments.into(), &test)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
