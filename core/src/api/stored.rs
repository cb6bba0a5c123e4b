//! What kinds of entities and kinds of actors set alike, because it is stored with either.

/// The methods that set how a kind is encoded and placed: of what is encoded, and of what is placed.
macro_rules! stored_settings {
    ($encoded:literal, $placed:literal) => {
        #[doc = concat!($encoded, " are encoded as JSON instead of CBOR.")]
        pub const fn json(mut self) -> Self {
            self.codec = Codec::Json;
            self
        }

        #[doc = concat!($placed, " are equal up to the first `separator` are placed in one shard.")]
        pub const fn placed_before(mut self, separator: char) -> Self {
            self.placement = Placement::Before(separator);
            self
        }
    };
}
pub(super) use stored_settings;
