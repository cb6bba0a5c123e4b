//! The bytes of an export's file, pinned in both formats: what is written today is what is pinned, and is read
//! as what was written.

use crate::drawn::{ENTITIES, Step};
use crate::world::World;
use tenure_core::api::transfer::ExportFormat;
use tenure_core::api::transfer::testing::{read, written};
use tenure_core::format::{ExportRecord, Selection};
use tenure_core::id::CommandId;

fn records() -> Vec<ExportRecord> {
    let steps = [
        Step::of(ENTITIES[0], "account").with_all(),
        Step::of(ENTITIES[1], "till").with_all(),
        Step::of(ENTITIES[1], "till").with_all().deleting(),
    ];
    let mut world = World::new(Vec::new());
    let shown = &steps[..2];
    world.fill("old", (2, 1), shown, &[crate::drawn::Done::all_undone()]);
    let mut records = world.export("old", Selection::default());
    // A tombstone and a part alone.
    let mut world = World::new(Vec::new());
    world.fill("old", (1, 1), &steps, &[]);
    let selection = Selection {
        kinds: vec![tenure_core::name::KindName::new("till").unwrap()],
        entities: Vec::new(),
    };
    let part = world.export("old", selection);
    records.retain(|record| !matches!(record, ExportRecord::End(_)));
    let mut totals = tenure_core::format::ExportTotals::default();
    for record in part
        .into_iter()
        .filter(|it| matches!(it, ExportRecord::Commit(_)))
    {
        records.push(record);
    }
    for record in &records {
        if let ExportRecord::Commit(exported) = record {
            totals.add(exported);
        }
    }
    records.push(ExportRecord::End(totals));
    records
}

#[test]
fn json_lines_are_what_they_always_were() {
    let records = records();
    let bytes = written(ExportFormat::JsonLines, &records).unwrap();
    assert_eq!(read(&bytes).unwrap(), records);
    insta::assert_snapshot!("export.jsonl", String::from_utf8(bytes).unwrap());
}

#[test]
fn a_cbor_sequence_is_what_it_always_was() {
    let records = records();
    let bytes = written(ExportFormat::CborSequence, &records).unwrap();
    assert_eq!(read(&bytes).unwrap(), records);
    let hex = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = bytes.chunks(32).map(hex).collect();
    insta::assert_snapshot!("export.cborseq", lines.join("\n"));
}

#[test]
fn messages_go_on_in_a_tombstone_alone() {
    let mut records = records();
    for record in &mut records {
        if let ExportRecord::Commit(exported) = record
            && !exported.commit.tombstone
            && let Some(later) = &mut exported.commit.later
        {
            later.carried = vec![CommandId(7)];
        }
    }
    // What is written as JSON is read back at once.
    assert!(written(ExportFormat::JsonLines, &records).is_err());
}
