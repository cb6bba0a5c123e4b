//! What a store has in its streams, of whichever build it is: the worlds on madsim have one of their own.

use tenure_core::id::Sequence;
use tenure_core::port::Message;
use tenure_mem::store::Store;

/// The streams of a store.
pub trait Streams {
    /// The last sequence that a stream gave, and [`Sequence::NONE`] when there is no such stream.
    fn last(&self, stream: &str) -> Sequence;

    /// The message at a sequence.
    fn message(&self, stream: &str, sequence: Sequence) -> Option<&Message>;

    /// The messages of a stream in its order.
    fn messages<'s>(&'s self, stream: &'s str) -> Box<dyn Iterator<Item = &'s Message> + 's>;
}

impl Streams for Store {
    fn last(&self, stream: &str) -> Sequence {
        self.last(stream)
    }

    fn message(&self, stream: &str, sequence: Sequence) -> Option<&Message> {
        self.message(stream, sequence)
    }

    fn messages<'s>(&'s self, stream: &'s str) -> Box<dyn Iterator<Item = &'s Message> + 's> {
        Box::new(self.messages(stream))
    }
}
