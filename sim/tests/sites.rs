//! The list of places that runs have to come by is the one of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tenure_sim::coverage::sites;

/// The folders whose code reports places.
const FOLDERS: [&str; 3] = ["core/src", "shell-mem/src", "sim/src"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of this workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push(path);
        }
    }
}

/// The names in `reached!(…, "name")` and `sometimes!(…, …, "name")`: the last text of each.
fn named(text: &str) -> BTreeSet<String> {
    let calls = ["reached!(", "sometimes!("];
    let begins = calls
        .iter()
        .flat_map(|call| text.match_indices(call).map(|(at, call)| at + call.len()));
    begins.filter_map(|at| last_text(&text[at..])).collect()
}

/// The last text in quotes before the parenthesis that is open at first is closed.
fn last_text(text: &str) -> Option<String> {
    let (mut open, mut last, mut rest) = (1, None, text);
    while open > 0 {
        let at = rest.find(['(', ')', '"'])?;
        let found = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match found {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {
                let end = rest.find('"')?;
                last = Some(rest[..end].to_owned());
                rest = &rest[end + 1..];
            }
        }
    }
    last
}

#[test]
fn every_place_of_the_sources_is_in_the_list_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root.join(folder), &mut files);
    }
    let mut there = BTreeSet::new();
    for file in files {
        // The macros themselves.
        if file.ends_with("core/src/step/probe.rs") {
            continue;
        }
        there.extend(named(&fs::read_to_string(&file).expect("a source")));
    }
    assert!(there.len() > 100, "the sources were read");
    let listed: BTreeSet<String> = sites().into_keys().map(str::to_owned).collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "sim/src/sites.txt lacks {unlisted:#?} and has {gone:#?} that no source has"
    );
}
