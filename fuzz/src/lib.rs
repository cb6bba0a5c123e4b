//! What the fuzz targets share: nodes with one shard each over one model store, driven by choices.

pub mod cluster;
pub mod story;
