//! Mutants in their places: an expression becomes a choice between itself and the mistake.

use crate::list::{Mutant, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The variable that chooses the mutant.
pub(crate) const CHOICE: &str = "TENURE_MUTANT";

/// The module that asks for the choice, in each package of the copy that has a mutant.
pub(crate) const MODULE: &str = r#"//! Which mutant this process is.

extern crate std;

/// Whether it is this one.
pub fn is(name: &str) -> bool {
    chosen() == Some(name)
}

/// Its name.
pub fn chosen() -> Option<&'static str> {
    static CHOSEN: std::sync::OnceLock<Option<std::string::String>> = std::sync::OnceLock::new();
    CHOSEN
        .get_or_init(|| std::env::var("TENURE_MUTANT").ok())
        .as_deref()
}
"#;

/// Where runs of the simulator get the number that tells them apart.
pub(crate) const HASHED: &str = "sim/src/case.rs";

/// That source, with the mutant's name in the number: a run under a mutant is another run, also where
/// its seed does not come by the mistake.
pub(crate) fn hashed(text: &str) -> Result<String, String> {
    const BEGINS: &str = "let mut hasher = SipHasher24::new();";
    let [before, after] = text.split(BEGINS).collect::<Vec<_>>()[..] else {
        return Err(format!("{HASHED} does not have {BEGINS:?} once"));
    };
    Ok(format!(
        "{before}{BEGINS}\n    hasher.write(crate::mutant::chosen().unwrap_or_default().as_bytes());{after}"
    ))
}

/// The folders of the packages that files are of.
pub(crate) fn packages<'a>(files: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    let folders = files.filter_map(|file| file.split_once("/src/"));
    folders.map(|(folder, _)| folder).collect()
}

/// A file, and its mutants by where they begin and end.
struct Source<'a> {
    text: String,
    places: BTreeMap<(usize, usize), Vec<(&'a str, &'a Place)>>,
}

/// The files with all mutants in them, by their path from the root.
pub(crate) fn planted(root: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, String> {
    let mut files: BTreeMap<String, Source<'_>> = BTreeMap::new();
    let changes = mutants.iter().flat_map(|mutant| {
        let name = mutant.name.as_str();
        mutant.places.iter().map(move |change| (name, change))
    });
    for (name, change) in changes {
        if !files.contains_key(&change.file) {
            let path = root.join(&change.file);
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| format!("{name}: {}: {error}", path.display()))?;
            let places = BTreeMap::new();
            files.insert(change.file.clone(), Source { text, places });
        }
        let Some(Source { text, places }) = files.get_mut(&change.file) else {
            continue;
        };
        let place = place(text, change).map_err(|error| format!("{name}: {error}"))?;
        places
            .entry((place.start, place.end))
            .or_default()
            .push((name, change));
    }
    let mut planted = BTreeMap::new();
    for (file, Source { mut text, places }) in files {
        let ranges: Vec<_> = places.keys().copied().collect();
        if let Some(two) = ranges.windows(2).find(|two| two[0].1 > two[1].0) {
            let at = &text[two[1].0..two[1].1];
            return Err(format!("{file}: mutants overlap at {at:?}"));
        }
        // From the end, so that the places before stay where they are.
        for ((start, end), mutants) in places.into_iter().rev() {
            let mut choice = String::from("(");
            for (name, Place { instead, .. }) in mutants {
                // Writing to a text does not fail.
                let _ = write!(
                    choice,
                    "if crate::mutant::is({name:?}) {{ {instead} }} else "
                );
            }
            let _ = write!(choice, "{{ {} }})", &text[start..end]);
            text.replace_range(start..end, &choice);
        }
        planted.insert(file, text);
    }
    Ok(planted)
}

/// Where the expression is; white space does not count.
fn place(text: &str, change: &Place) -> Result<Range<usize>, String> {
    let solid = |text: &str| -> Vec<(usize, char)> {
        let solid = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        solid.collect()
    };
    let all = solid(text);
    let [before, expression, after] =
        [&change.before, &change.expression, &change.after].map(|part| solid(part));
    let wanted: Vec<char> = [&before, &expression, &after]
        .into_iter()
        .flatten()
        .map(|(_, c)| *c)
        .collect();
    let fits = |window: &[(usize, char)]| window.iter().map(|(_, c)| *c).eq(wanted.iter().copied());
    let windows = all.windows(wanted.len()).enumerate();
    let found: Vec<usize> = windows
        .filter(|(_, window)| fits(window))
        .map(|(at, _)| at)
        .collect();
    let [at] = found[..] else {
        let (times, file) = (found.len(), &change.file);
        return Err(format!(
            "its context is {times} times in {file}: bring sim/mutants/list up to date with the code"
        ));
    };
    let first = at + before.len();
    let (start, _) = all[first];
    let (last, c) = all[first + expression.len() - 1];
    Ok(start..last + c.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::{HASHED, hashed, packages, place};
    use crate::list::Place;

    fn change(before: &str, expression: &str, after: &str) -> Place {
        Place {
            file: "f".to_owned(),
            before: before.to_owned(),
            expression: expression.to_owned(),
            after: after.to_owned(),
            instead: "x".to_owned(),
        }
    }

    #[test]
    fn the_mutants_name_is_in_the_number_of_a_run() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(root.join(HASHED)).unwrap();
        let planted = hashed(&text).unwrap();
        let (_, run) = planted.split_once("pub fn trace_hash(").unwrap();
        let (run, _) = run.split_once("\n}\n").unwrap();
        assert!(run.contains("crate::mutant::chosen()"), "{run}");
        assert!(hashed(&planted.repeat(2)).is_err());
    }

    #[test]
    fn packages_are_told_by_their_files() {
        let files = [
            "core/src/log/mod.rs",
            "core/src/lib.rs",
            "core/tenure/src/a.rs",
        ];
        let files = files.map(str::to_owned);
        let found: Vec<&str> = packages(files.iter()).into_iter().collect();
        assert_eq!(found, ["core", "core/tenure"]);
    }

    #[test]
    fn a_place_is_found_by_its_text_however_it_is_broken_into_lines() {
        let text = "fn f() {\n    if a\n        .b() > 1 {\n    }\n    if c.b() > 1 {}\n}";
        let found = place(text, &change("if ", "a.b() > 1", " {")).unwrap();
        assert_eq!(&text[found], "a\n        .b() > 1");
        assert!(place(text, &change("", ".b() > 1", "")).is_err(), "twice");
        assert!(place(text, &change("", "d.b()", "")).is_err(), "never");
    }
}
