//! Folders: each server's own, and copies of its store.

use crate::{ServerError, Trying, binary};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that is removed when its owner goes.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Held by the owner of a folder: a folder whose lock is free was left behind.
const LOCK: &str = "owner.lock";

impl Folder {
    /// A new, empty folder under the target folder.
    pub(crate) fn fresh() -> Result<Self, ServerError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let run = binary::home().join("run");
        let path = run.join(format!("{}-{number}", std::process::id()));
        // One at a time: a folder that is being made has no owner yet.
        fs::create_dir_all(&run).trying(|| format!("cannot create {}", run.display()))?;
        let turn = File::create(run.join("turn.lock"))
            .and_then(|turn| turn.lock().map(|()| turn))
            .trying(|| format!("cannot lock {}", run.display()))?;
        sweep(&run);
        // An earlier process with the same id may have been killed before it could clean up.
        if path.exists() {
            fs::remove_dir_all(&path).trying(|| format!("cannot remove {}", path.display()))?;
        }
        fs::create_dir_all(&path).trying(|| format!("cannot create {}", path.display()))?;
        let path = path
            .canonicalize()
            .trying(|| format!("cannot find {}", path.display()))?;
        let lock = path.join(LOCK);
        let lock = File::create(&lock).trying(|| format!("cannot create {}", lock.display()))?;
        lock.lock()
            .trying(|| format!("cannot lock {}", path.display()))?;
        drop(turn);
        Ok(Self { path, _lock: lock })
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

/// Removes the folders of processes that were killed.
fn sweep(run: &Path) {
    let Ok(folders) = fs::read_dir(run) else {
        return;
    };
    for folder in folders.flatten() {
        let Ok(lock) = File::open(folder.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(folder.path());
        }
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
