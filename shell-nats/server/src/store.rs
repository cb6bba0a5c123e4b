//! Folders: each server's own, and copies of its store.

use crate::{ServerError, Trying, binary};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that is removed when its owner goes.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new, empty folder under the target folder.
    pub(crate) fn fresh() -> Result<Self, ServerError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let run = binary::home().join("run");
        let path = run.join(format!("{}-{number}", std::process::id()));
        // An earlier process with the same id may have been killed before it could clean up.
        if path.exists() {
            fs::remove_dir_all(&path).trying(|| format!("cannot remove {}", path.display()))?;
        }
        fs::create_dir_all(&path).trying(|| format!("cannot create {}", path.display()))?;
        let path = path
            .canonicalize()
            .trying(|| format!("cannot find {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes `to` a copy of the folder `from`.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    if to.exists() {
        fs::remove_dir_all(to).trying(|| format!("cannot remove {}", to.display()))?;
    }
    copy_into(from, to).trying(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn copy_into(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_into(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
