//! The log: nodes with one shard each over one model store, driven by choices.

mod cluster;
mod story;

use arbitrary::{Arbitrary, Unstructured};
use story::Story;

/// Plays what the bytes say.
///
/// # Panics
///
/// When a promise is broken.
pub(crate) fn play(bytes: &[u8]) {
    if let Ok(story) = Story::arbitrary(&mut Unstructured::new(bytes)) {
        let seen = story.run();
        assert_eq!(seen.broken(), None);
    }
}
