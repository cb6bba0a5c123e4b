//! The layout: made once with what was wished for, else compared with it (S2).

use super::record::Record;
use super::{SpaceError, SpaceWish};
use crate::format::{Layout, LayoutKey};
use crate::id::{LayoutId, WallTime};
use crate::name::Namespace;
use crate::port::Capabilities;
use crate::step::{Dice, Purpose};
use alloc::format;
use alloc::string::ToString;

/// The shards of a new namespace.
pub(super) const SHARDS: u16 = 256;

/// The event streams of a new namespace on a cluster: at most 50 batches may be open in each (H15).
const CLUSTER_STREAMS: u16 = 8;

/// The layout that a new namespace gets.
pub(super) fn new_layout(
    wish: &SpaceWish,
    capabilities: &Capabilities,
    wall: WallTime,
    dice: Dice,
) -> Layout {
    let shards = wish.shards.unwrap_or(SHARDS);
    let streams = if capabilities.clustered {
        CLUSTER_STREAMS
    } else {
        1
    };
    let streams = wish.streams.unwrap_or(streams).min(shards);
    let id = match &wish.import {
        Some(import) => import.layout,
        None => LayoutId(dice.roll128(Purpose::Layout, 0)),
    };
    let key = wish
        .key
        .unwrap_or_else(|| LayoutKey(dice.roll128(Purpose::Layout, 1)));
    Layout::new(id, key, wall, shards, streams)
}

/// The record of the layout, read together with that of an import (N7). `fixed`: it must be there.
pub(super) fn layout_record(ns: &Namespace, offered: &Layout, fixed: bool) -> Record {
    let what = "the layout record".into();
    let record = Record::control(what, ns, ns.layout_subject(), offered.encode(), fixed);
    record.with(ns.import_subject())
}

/// Whether a stored layout is the one from before, and what was wished for.
pub(super) fn check_layout(
    wish: &SpaceWish,
    before: Option<LayoutId>,
    stored: &Layout,
) -> Result<(), SpaceError> {
    if let Some(import) = &wish.import
        && import.layout != stored.id
    {
        return Err(SpaceError::InUse {
            namespace: wish.namespace.clone(),
        });
    }
    if let Some(expected) = before.filter(|before| *before != stored.id) {
        let what = "the layout record".into();
        return Err(SpaceError::OtherLayout {
            what,
            expected,
            found: stored.id,
        });
    }
    let number = |what, stored: u16, wanted: Option<u16>| match wanted {
        Some(wanted) if wanted != stored => {
            let (stored, wanted) = (stored.to_string(), wanted.to_string());
            Err(SpaceError::LayoutDiffers {
                what,
                stored,
                wanted,
            })
        }
        Some(_) | None => Ok(()),
    };
    number("shards", stored.shards(), wish.shards)?;
    number("event streams", stored.streams, wish.streams)?;
    match wish.key {
        Some(key) if key != stored.key => Err(SpaceError::LayoutDiffers {
            what: "as hash key",
            stored: format!("{:032x}", stored.key.0),
            wanted: format!("{:032x}", key.0),
        }),
        Some(_) | None => Ok(()),
    }
}
