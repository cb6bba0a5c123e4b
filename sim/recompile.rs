//! The build script of `sim-async-nats` and `sim-tryhard`: takes the unmodified source of the crate of the
//! same name and version from where cargo keeps it for this workspace, so that it is compiled once more,
//! against the simulated tokio. Without `--cfg madsim` there is nothing to do.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../recompile.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    if env::var_os("CARGO_CFG_MADSIM").is_none() {
        return;
    }
    if let Err(error) = recompile() {
        println!("cargo::error={error}");
    }
}

fn recompile() -> Result<(), String> {
    let name = variable("CARGO_PKG_NAME")?;
    let name = name
        .strip_prefix("sim-")
        .ok_or("its name begins with sim-")?;
    let source = source(name, &variable("CARGO_PKG_VERSION")?)?;
    let out = PathBuf::from(variable("OUT_DIR")?).join("src");
    let told = |error: io::Error| format!("{}: {error}", out.display());
    if out.exists() {
        fs::remove_dir_all(&out).map_err(told)?;
    }
    copy(&source.join("src"), &out).map_err(told)?;
    let root = out.join("lib.rs");
    let text = fs::read_to_string(&root).map_err(told)?;
    fs::write(&root, without_inner_attributes(&text)).map_err(told)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// The folder of a package. Cargo gets it first where it is not there yet, and holds it against the sum in
/// `Cargo.lock`.
fn source(name: &str, version: &str) -> Result<PathBuf, String> {
    let target = variable("TARGET")?;
    let output = Command::new(variable("CARGO")?)
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", &target])
        // The flags of this build are not those of which it is asked.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo metadata: {}",
            told.trim().replace('\n', " ")
        ));
    }
    let json = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    // The packages are all that is wanted of it: a reader of JSON would have to be built first.
    let package = format!("\"name\":\"{name}\",\"version\":\"{version}\",");
    let lacks =
        format!("{name} {version} is not in Cargo.lock: bring sim/{name}/Cargo.toml up to date");
    let (_, rest) = json.split_once(&package).ok_or(lacks)?;
    let lacks = "cargo metadata tells no path of a manifest";
    let (_, rest) = rest.split_once("\"manifest_path\":\"").ok_or(lacks)?;
    let (path, _) = rest.split_once('"').ok_or(lacks)?;
    let path = path.replace("\\\\", "\\");
    Path::new(&path)
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| lacks.to_owned())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// `include!` takes items alone: what the root says of the whole crate, its lints and its description, is
/// left out.
fn without_inner_attributes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut open: usize = 0;
    for line in text.lines() {
        if open == 0 && line.starts_with("//!") {
            continue;
        }
        if open > 0 || line.starts_with("#![") {
            open += line.matches('[').count();
            open = open.saturating_sub(line.matches(']').count());
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}
