//! The mutants of this workspace, which another of its programs plants and hunts.

use super::options::Mutants;
use std::path::Path;
use std::process::Command;

/// Runs that program; its exit code.
pub(super) fn run(options: &Mutants) -> Result<u8, String> {
    let Mutants {
        only,
        world,
        list,
        seeds,
        jobs,
        open,
        resume,
        deviations_max,
        table,
        json,
    } = options;
    println!("{}", again(options));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !here.join("mutants/list").is_dir() {
        return Err(
            "mutants are planted in the sources of Tenure's own workspace, which are not here"
                .into(),
        );
    }
    let (seeds, jobs) = (seeds.to_string(), jobs.to_string());
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "-p", "tenure-mutants", "--", "--sim"])
        .args(["--seeds", &seeds, "--jobs", &jobs, "--only", only])
        .current_dir(here);
    if let Some(world) = world {
        command.args(["--world", world.name()]);
    }
    if *list {
        command.arg("--list");
    }
    if *open {
        command.arg("--open");
    }
    if *resume {
        command.arg("--resume");
    }
    if let Some(most) = deviations_max {
        command.args(["--deviations-max", &most.to_string()]);
    }
    if let Some(file) = table {
        let file = std::path::absolute(file).map_err(|error| error.to_string())?;
        command.arg("--table").arg(file);
    }
    if *json {
        command.arg("--json");
    }
    let status = command
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(1))
}

/// The line that does the same again.
fn again(options: &Mutants) -> String {
    let Mutants {
        only,
        world,
        list,
        seeds,
        jobs,
        open,
        resume,
        deviations_max,
        table,
        json,
    } = options;
    let mut line = format!("cargo sim mutants --seeds {seeds} --jobs {jobs}");
    if !only.is_empty() {
        line.push_str(&format!(" --only {only:?}"));
    }
    if let Some(world) = world {
        line.push_str(&format!(" --world {world}"));
    }
    if let Some(most) = deviations_max {
        line.push_str(&format!(" --deviations-max {most}"));
    }
    if let Some(file) = table {
        line.push_str(&format!(" --table {}", file.display()));
    }
    let given = [
        (list, "--list"),
        (open, "--open"),
        (resume, "--resume"),
        (json, "--json"),
    ];
    for (given, option) in given {
        if *given {
            line.push(' ');
            line.push_str(option);
        }
    }
    line
}
