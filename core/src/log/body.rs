//! What makes a stored body the snapshot that a commit names (S20).

use crate::format::{LayoutKey, Snapshot, SnapshotRef};
use crate::id::{KindId, LayoutId};
use crate::name::EntityId;
use alloc::format;
use alloc::string::{String, ToString};
use bytes::Bytes;

/// Whose snapshot is wanted, and of which version of the state's type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) layout: LayoutId,
    pub(super) key: LayoutKey,
    pub(super) kind: KindId,
    pub(super) entity: &'a EntityId,
    pub(super) schema: u16,
}

impl Wanted<'_> {
    /// The snapshot in a body, if it is the one that a commit names and this build can use it; else
    /// why not.
    pub(super) fn open(&self, named: &SnapshotRef, body: &Bytes) -> Result<Snapshot, String> {
        if self.key.hash(body) != named.hash {
            return Err("its body is not the one that the commit names".into());
        }
        let snapshot = Snapshot::decode(body).map_err(|error| error.to_string())?;
        if snapshot.schema != self.schema {
            let (found, known) = (snapshot.schema, self.schema);
            return Err(format!(
                "its state has schema {found}, this build has {known}"
            ));
        }
        let fits = snapshot.entity == *self.entity
            && snapshot.kind == self.kind
            && snapshot.layout == self.layout
            && snapshot.version == named.version
            && snapshot.sequence == named.sequence;
        if fits {
            Ok(snapshot)
        } else {
            Err("its body is of another entity or version".into())
        }
    }
}
