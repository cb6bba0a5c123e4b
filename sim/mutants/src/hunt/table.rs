//! The table of mutants in the design: a row for each that the simulator has to find.

use super::results::Caught;
use crate::list::Mutant;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What stands before and after the table.
pub(crate) const BEGIN: &str = "<!-- mutants: written by `cargo sim mutants --table DESIGN.md` -->";
pub(crate) const END: &str = "<!-- end of mutants -->";

const HEAD: &str =
    "| mutant | rule | oracle | seeds | deviations | profile |\n|---|---|---|---|---|---|\n";

/// How a row of a mutant begins: what the list says of it.
pub(crate) fn row_of_list(mutant: &Mutant) -> String {
    format!("| `{}` | {} |", mutant.name, mutant.rules())
}

/// Writes the rows of those that were found into a file's table; the others keep theirs.
pub(super) fn write(file: &Path, caught: &[(&Mutant, &Caught)]) -> Result<(), String> {
    let told = |error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(told)?;
    let text = with_rows(&text, caught).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(file, text).map_err(told)
}

fn with_rows(text: &str, caught: &[(&Mutant, &Caught)]) -> Result<String, String> {
    let lacks = || format!("it has no table between {BEGIN:?} and {END:?}");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(lacks)?;
    let (table, after) = rest.split_once(END).ok_or_else(lacks)?;
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).unwrap_or_default();
        rows.insert(name.to_owned(), line.to_owned());
    }
    for (mutant, one) in caught {
        let Caught {
            profile,
            seeds,
            oracle,
            deviations,
            ..
        } = one;
        let begin = row_of_list(mutant);
        let row = format!("{begin} {oracle} | {seeds} | {deviations} | {profile} |");
        rows.insert(mutant.name.clone(), row);
    }
    let rows: Vec<String> = rows.into_values().collect();
    let rows = rows.join("\n");
    Ok(format!("{before}{BEGIN}\n\n{HEAD}{rows}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, Caught, END, with_rows};
    use crate::list::read;

    #[test]
    fn rows_of_what_was_found_replace_theirs() {
        let list =
            "Head.\n\n= m:late\nToo late (S1, P3).\nin f\nfound by sim kill 50\n- «a»\n+ b\n";
        let mutants = read(list).unwrap();
        let caught = Caught {
            profile: "kill".to_owned(),
            seeds: 7,
            seed: 6,
            oracle: "lease".to_owned(),
            deviations: 1,
            questions: 2,
        };
        let old = "| `m:early` | S2 | fence | 9 | 9 | owned |";
        let text = format!("a\n{BEGIN}\n\n{old}\n| `m:late` | old |\n{END}\nb");
        let text = with_rows(&text, &[(&mutants[0], &caught)]).unwrap();
        let rows: Vec<&str> = text.lines().filter(|it| it.starts_with("| `")).collect();
        assert_eq!(rows, [old, "| `m:late` | S1, P3 | lease | 7 | 1 | kill |"]);
        assert!(text.starts_with("a\n") && text.ends_with("\nb"));
        assert!(with_rows("no table", &[]).is_err());
    }
}
