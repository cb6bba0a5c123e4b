//! What a failing seed of a user's test leaves: its repro, and where that was asked for a smaller one
//! and its page.

use super::seeds::Keep;
use crate::case::{Broken, Case, TestName};
use crate::explain::page_of;
use crate::minimize::{Part, minimize_with};
use crate::repro::Repro;
use crate::world::Report;
use std::path::{Path, PathBuf};

/// How many runs it takes at most to make a failing one smaller.
const RUNS_MAX: u64 = 400;

/// A run that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<'a> {
    pub(super) case: &'a Case,
    pub(super) broken: &'a Broken,
    /// How many nodes it has.
    pub(super) nodes: usize,
    /// Whether it is made smaller.
    pub(super) minimizes: bool,
}

/// The repro that the environment names, of this test.
///
/// # Panics
///
/// When it cannot be read, or is of another test.
pub(super) fn given(test: &TestName) -> Option<Repro> {
    let file = PathBuf::from(std::env::var_os("TENURE_SIM_REPRO")?);
    let told = |error: String| -> ! { panic!("TENURE_SIM_REPRO={}: {error}", file.display()) };
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| told(error.to_string()));
    let repro = Repro::from_text(&text).unwrap_or_else(|error| told(error));
    match &repro.case.test {
        Some(of) if of == test => Some(repro),
        Some(of) => told(format!("it is of the test {of}, and this is {test}")),
        None => told("it is of no test; `cargo sim` takes it".to_owned()),
    }
}

/// Writes down what failed; what is to be told of it, a line each.
pub(super) fn left(it: Left<'_>, run: &dyn Fn(&Case, Keep) -> Report) -> Vec<String> {
    let test = it.case.test.as_ref().expect("a run of a test");
    let name = format!("{}-{}", test.name().replace("::", "-"), it.case.seed);
    let file = |end: &str| folder().join(format!("{name}.{end}"));
    let repro = Repro {
        case: it.case.clone(),
        expect: it.broken.clone(),
        remarks: Vec::new(),
    };
    let whole = write(&file("repro"), &repro.to_text());
    let mut lines = vec![match whole {
        Ok(()) => format!("repro: {}", file("repro").display()),
        Err(error) => format!("no repro: {error}"),
    }];
    if !it.minimizes {
        lines.push("smaller, and drawn: TENURE_SIM_MINIMIZE=1 before it".to_owned());
        return lines;
    }
    match smaller(&repro, it.nodes, run, &file) {
        Ok(remarks) => {
            let file = file("min.repro");
            let again = test.again(&format!("TENURE_SIM_REPRO={}", file.display()));
            lines.push(format!("smaller: {remarks}"));
            lines.push(format!("drawn: {}", file.with_extension("html").display()));
            lines.push(format!("again, smaller: {again}"));
        }
        Err(error) => lines.push(format!("not made smaller: {error}")),
    }
    lines
}

/// Makes a failing run smaller, writes it down and draws it; how small it is.
fn smaller(
    repro: &Repro,
    nodes: usize,
    run: &dyn Fn(&Case, Keep) -> Report,
    file: &dyn Fn(&str) -> PathBuf,
) -> Result<String, String> {
    // Each run that still fails by a panic would tell of it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let quiet = |case: &Case| run(case, Keep::Nothing);
    let smaller = minimize_with(repro, Part::All, RUNS_MAX, &mut |_| {}, &quiet);
    let drawn = smaller.map(|smaller| {
        let case = &smaller.repro.case;
        let page = page_of(case, nodes, &run(case, Keep::Story));
        (smaller.repro, page)
    });
    std::panic::set_hook(hook);
    let (repro, page) = drawn?;
    write(&file("min.repro"), &repro.to_text())?;
    write(&file("min.html"), &page)?;
    Ok(repro.remarks.join("; "))
}

/// `sim` in the folder that the test was built to; else below the present one.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let mut above = program.ancestors().skip(1);
    let of_cargo = above.next().is_some_and(|it| it.ends_with("deps"));
    let target = above.nth(1).filter(|_| of_cargo);
    target.unwrap_or(Path::new("target")).join("sim")
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::write(path, text).map_err(told)
}
