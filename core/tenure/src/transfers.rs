//! Exports and imports, in a place.

use super::place::{Place, Work};
use super::{Tenure, TenureError};
use std::path::{Path, PathBuf};
use tenure_core::api::transfer::{
    ExportOptions, ImportOptions, TransferReport, VerifyOptions, export_with, import_with,
    verify_with,
};
use tenure_core::driver::Shell;
use tenure_core::step::Limits;

/// Without a node: nothing is served, and no shard is claimed.
impl Tenure {
    /// Exports a namespace, or a part of it, to a file. What is committed after the beginning is not in it,
    /// and nodes may serve it meanwhile. An unfinished file of the same export is continued.
    ///
    /// A file holds what the log holds: keep it as secret. Writing to it holds the task up.
    ///
    /// Dropped, it leaves a file that can be continued.
    ///
    /// ```
    /// # use tenure::{Tenure, transfer::{ExportOptions, ImportOptions}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let place = "mem:exported";
    /// # let file = std::env::temp_dir().join(format!("tenure-export-{}", std::process::id()));
    /// # Tenure::builder().namespace("bank").start(place).await?.stop().await;
    /// let exported = Tenure::export(place, ExportOptions::new("bank"), &file).await?;
    /// let imported = Tenure::import(place, ImportOptions::new("bank-2").shards(64), &file).await?;
    /// assert_eq!(imported.totals, exported.totals);
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the place cannot be reached, the namespace is not there, cannot be read or has a gap, or the
    /// file cannot be written or is another one.
    pub async fn export(
        place: impl Into<Place>,
        options: ExportOptions,
        file: impl AsRef<Path>,
    ) -> Result<TransferReport, TenureError> {
        let file = file.as_ref().to_owned();
        place
            .into()
            .run(Limits::default().store_timeout, Export(options, file))
            .await
    }

    /// Imports an export into a namespace that it makes, and verifies it: all is read back, and count and
    /// hash are compared with the file's. Nobody opens the namespace until that is done. After an
    /// interruption, the same again goes on.
    ///
    /// Dropped, it leaves a namespace that can be continued.
    ///
    /// # Errors
    ///
    /// When the place cannot be reached, the file is not whole or was altered, the namespace is in use or
    /// filled from another export, a commit does not fit the server, or what is stored is not what the file
    /// holds.
    pub async fn import(
        place: impl Into<Place>,
        options: ImportOptions,
        file: impl AsRef<Path>,
    ) -> Result<TransferReport, TenureError> {
        let file = file.as_ref().to_owned();
        place
            .into()
            .run(Limits::default().store_timeout, Import(options, file))
            .await
    }

    /// Compares a namespace with an export. One that was written to since differs.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When they differ, or one of them cannot be read.
    pub async fn verify(
        place: impl Into<Place>,
        options: VerifyOptions,
        file: impl AsRef<Path>,
    ) -> Result<TransferReport, TenureError> {
        let file = file.as_ref().to_owned();
        place
            .into()
            .run(Limits::default().store_timeout, Verify(options, file))
            .await
    }
}

struct Export(ExportOptions, PathBuf);

impl Work for Export {
    type Done = TransferReport;

    async fn run<S: Shell>(self, shell: S) -> Result<TransferReport, TenureError> {
        Ok(export_with(shell, self.0, self.1).await?)
    }
}

struct Import(ImportOptions, PathBuf);

impl Work for Import {
    type Done = TransferReport;

    async fn run<S: Shell>(self, shell: S) -> Result<TransferReport, TenureError> {
        Ok(import_with(shell, self.0, self.1).await?)
    }
}

struct Verify(VerifyOptions, PathBuf);

impl Work for Verify {
    type Done = TransferReport;

    async fn run<S: Shell>(self, shell: S) -> Result<TransferReport, TenureError> {
        Ok(verify_with(shell, self.0, self.1).await?)
    }
}
