//! The targets: what is fuzzed, and which version of its inputs it reads.

use crate::input::{InputError, open};
use crate::{
    actor, consumer, decode, front, group, history, lease, log, node, projection, publisher, repro,
    route, shard, space, store, transfer,
};
use std::path::PathBuf;

/// One thing that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its program for `cargo fuzz` and of its folder of inputs.
    pub name: &'static str,
    /// Which version of inputs it reads. It rises whenever the same bytes come to mean something else,
    /// so that an input which was kept is refused and not taken for another story.
    pub version: u8,
    /// About how long a random input of it has to be for all of it to happen, in bytes.
    pub bytes: usize,
    play: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 17] = [
    target("actor", 1, 2_000, actor::play),
    target("consumer", 1, 1_000, consumer::play),
    target("decode", 1, 300, decode::play),
    target("front", 2, 600, front::play),
    target("group", 2, 1_500, group::play),
    target("history", 1, 1_200, history::play),
    target("lease", 1, 120, lease::play),
    target("log", 1, 800, log::play),
    target("node", 1, 30_000, node::play),
    target("projection", 1, 250, projection::play),
    target("publisher", 1, 300, publisher::play),
    target("repro", 1, 600, repro::play),
    target("route", 1, 4_000, route::play),
    target("shard", 1, 320, shard::play),
    target("space", 1, 160, space::play),
    target("store", 2, 800, store::play),
    target("transfer", 2, 900, transfer::play),
];

const fn target(name: &'static str, version: u8, bytes: usize, play: fn(&[u8])) -> Target {
    Target {
        name,
        version,
        bytes,
        play,
    }
}

impl Target {
    /// The one of that name.
    ///
    /// ```
    /// use tenure_fuzz::Target;
    ///
    /// assert_eq!(Target::named("log").map(|it| it.name), Some("log"));
    /// assert!(Target::named("lock").is_none());
    /// ```
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Plays an input: its first byte is its version, the others say what happens.
    ///
    /// # Errors
    ///
    /// When it is of another version.
    ///
    /// # Panics
    ///
    /// When a promise is broken.
    pub fn play(&self, input: &[u8]) -> Result<(), InputError> {
        (self.play)(open(self, input)?);
        Ok(())
    }

    /// An input of this version.
    pub fn input(&self, bytes: &[u8]) -> Vec<u8> {
        let mut input = vec![self.version];
        input.extend_from_slice(bytes);
        input
    }

    /// The folder of its inputs that are kept.
    pub fn corpus(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name)
    }

    /// The folder of those that broke a promise.
    pub fn artifacts(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("artifacts")
            .join(self.name)
    }
}

/// Plays what `cargo fuzz` comes with; what is of another version is not kept.
pub fn fuzzed(name: &str, input: &[u8]) -> libfuzzer_sys::Corpus {
    let target = Target::named(name).expect("each program is named for its target");
    match target.play(input) {
        Ok(()) => libfuzzer_sys::Corpus::Keep,
        Err(_) => libfuzzer_sys::Corpus::Reject,
    }
}
