//! The memory of small payloads: one after another in large pieces, because a store keeps millions of
//! them and an allocation of its own for each costs more than its bytes.

use bytes::{Bytes, BytesMut};

/// How large a piece is, in bytes. It goes with the last payload in it.
const PIECE_BYTES: usize = 64 << 10;

/// A larger payload keeps the memory that it came in.
const SMALL_BYTES_MAX: usize = 1 << 10;

/// Where a stream's next small payloads go.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    piece: BytesMut,
}

impl Room {
    /// The payload as it is kept.
    pub(super) fn keep(&mut self, payload: &Bytes) -> Bytes {
        if payload.is_empty() || payload.len() > SMALL_BYTES_MAX {
            return payload.clone();
        }
        if self.piece.capacity() < payload.len() {
            self.piece = BytesMut::with_capacity(PIECE_BYTES);
        }
        self.piece.extend_from_slice(payload);
        self.piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES, Room, SMALL_BYTES_MAX};
    use alloc::vec;
    use alloc::vec::Vec;
    use bytes::Bytes;

    #[test]
    fn payloads_are_kept_as_they_are_and_small_ones_next_to_each_other() {
        let mut room = Room::default();
        let lens = [0, 1, 300, 300, SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1];
        let given: Vec<Bytes> = (0..4 * PIECE_BYTES / SMALL_BYTES_MAX)
            .map(|n| Bytes::from(vec![n as u8; lens[n % lens.len()]]))
            .collect();
        let kept: Vec<Bytes> = given.iter().map(|payload| room.keep(payload)).collect();
        assert_eq!(kept, given);
        assert_eq!(kept[3].as_ptr(), kept[2].as_ptr().wrapping_add(300));
        assert_eq!(kept[5].as_ptr(), given[5].as_ptr(), "a large one is shared");
    }
}
