//! Export and import: a namespace to a file, and a file to a new namespace.
//!
//! A file holds what entities are: their events, command ids with outcomes, timers, and messages with
//! whether they are done. An import makes the rest anew, so the new namespace may have other shards and
//! streams, or be on another server. Both can be ended at any time and begun again with the same file: they
//! go on where they were.

mod error;
mod file;
mod json;
mod options;
mod restore;
mod run;

pub use error::TransferError;
pub use file::{ExportFileError, ExportFormat};
pub use options::{
    ExportOptions, ImportOptions, TransferProgress, TransferReport, TransferStage, VerifyOptions,
};
pub use restore::RestoreError;
pub use run::{export_with, import_with, verify_with};

pub use crate::transfer::TransferFault;

pub(super) use restore::restore;

/// What tests read and write files with.
#[doc(hidden)]
pub mod testing {
    use super::file::{NextRecord, RecordReader, RecordWriter};
    use super::{ExportFileError, ExportFormat};
    use crate::format::ExportRecord;

    /// The bytes of a file with these records.
    pub fn written(
        format: ExportFormat,
        records: &[ExportRecord],
    ) -> Result<Vec<u8>, ExportFileError> {
        let mut writer = RecordWriter::new(Vec::new(), format);
        for record in records {
            writer.write(record)?;
        }
        Ok(writer.into_inner())
    }

    /// The records of a whole file.
    pub fn read(bytes: &[u8]) -> Result<Vec<ExportRecord>, ExportFileError> {
        let mut reader = RecordReader::new(bytes);
        let mut records = Vec::new();
        loop {
            match reader.next()? {
                NextRecord::Record(record) => records.push(record),
                NextRecord::Whole => return Ok(records),
                NextRecord::Cut => {
                    let records = reader.records();
                    return Err(ExportFileError::Cut { records });
                }
            }
        }
    }
}
