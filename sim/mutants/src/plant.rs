//! Mutants in their places: an expression becomes a choice between itself and the mistake.

use crate::list::Mutant;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The variable that chooses the mutant.
pub(crate) const CHOICE: &str = "TENURE_MUTANT";

/// The module of the copy that asks for the choice.
pub(crate) const MODULE: &str = r#"//! Which mutant this process is.

extern crate std;

/// Whether it is this one.
pub fn is(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<std::string::String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("TENURE_MUTANT").ok());
    chosen.as_deref() == Some(name)
}
"#;

/// A file, and its mutants by where they begin and end.
struct Source<'a> {
    text: String,
    places: BTreeMap<(usize, usize), Vec<&'a Mutant>>,
}

/// The files with all mutants in them, by their path from the root.
pub(crate) fn planted(root: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, String> {
    let mut files: BTreeMap<String, Source<'_>> = BTreeMap::new();
    for mutant in mutants {
        let name = &mutant.name;
        if !files.contains_key(&mutant.file) {
            let path = root.join(&mutant.file);
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| format!("{name}: {}: {error}", path.display()))?;
            let places = BTreeMap::new();
            files.insert(mutant.file.clone(), Source { text, places });
        }
        let Some(Source { text, places }) = files.get_mut(&mutant.file) else {
            continue;
        };
        let place = place(text, mutant).map_err(|error| format!("{name}: {error}"))?;
        places
            .entry((place.start, place.end))
            .or_default()
            .push(mutant);
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
            for Mutant { name, instead, .. } in mutants {
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
fn place(text: &str, mutant: &Mutant) -> Result<Range<usize>, String> {
    let solid = |text: &str| -> Vec<(usize, char)> {
        let solid = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        solid.collect()
    };
    let all = solid(text);
    let [before, expression, after] =
        [&mutant.before, &mutant.expression, &mutant.after].map(|part| solid(part));
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
        let (times, file) = (found.len(), &mutant.file);
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
    use super::place;
    use crate::list::Mutant;

    fn mutant(before: &str, expression: &str, after: &str) -> Mutant {
        Mutant {
            name: "m".to_owned(),
            says: String::new(),
            file: "f".to_owned(),
            killers: Vec::new(),
            oracles: Vec::new(),
            before: before.to_owned(),
            expression: expression.to_owned(),
            after: after.to_owned(),
            instead: "x".to_owned(),
        }
    }

    #[test]
    fn a_place_is_found_by_its_text_however_it_is_broken_into_lines() {
        let text = "fn f() {\n    if a\n        .b() > 1 {\n    }\n    if c.b() > 1 {}\n}";
        let found = place(text, &mutant("if ", "a.b() > 1", " {")).unwrap();
        assert_eq!(&text[found], "a\n        .b() > 1");
        assert!(place(text, &mutant("", ".b() > 1", "")).is_err(), "twice");
        assert!(place(text, &mutant("", "d.b()", "")).is_err(), "never");
    }
}
