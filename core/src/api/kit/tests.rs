//! Golden files and recorded streams: what they notice, and what they say.

use super::golden::Mode;
use super::{RecordedStreams, golden};
use crate::api::{Aggregate, Fields, KindSettings, Upcasters};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of a test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenure-kit-{}-{n}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn rewrite(&self, name: &str, change: impl Fn(&str) -> String) {
        fs::write(self.0.join(name), change(&self.file(name))).unwrap();
    }

    /// A text without the folder's path.
    fn anonymous(&self, text: &str) -> String {
        text.replace(&self.0.display().to_string(), "<folder>")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing was written, perhaps.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a purse was built last month.
mod before {
    use super::*;

    #[derive(Clone, Debug, Default)]
    pub(super) struct Purse(i64);

    #[derive(Debug, tenure_macros::Event)]
    #[event(crate = "crate::api")]
    pub(super) enum PurseEvent {
        #[event(name = "moved", version = 1)]
        Moved { by: i64 },
        #[event(name = "labelled", version = 1)]
        Labelled { text: String },
    }

    impl Aggregate for Purse {
        type Event = PurseEvent;
        const KIND: &'static str = "purse";

        fn evolve(&mut self, event: &PurseEvent) {
            match event {
                PurseEvent::Moved { by } => self.0 += by,
                PurseEvent::Labelled { .. } => {}
            }
        }
    }

    pub(super) fn examples() -> [PurseEvent; 3] {
        [
            PurseEvent::Moved { by: 30 },
            PurseEvent::Moved { by: -7 },
            PurseEvent::Labelled { text: "a".into() },
        ]
    }
}

/// How it is built now: `MISTAKE` is what went wrong on the way.
#[derive(Clone, Debug, Default)]
struct Purse<const MISTAKE: u8> {
    cents: i64,
    label: Option<String>,
}

/// Nothing went wrong.
const SOUND: u8 = 0;
/// The upcaster was forgotten.
const NO_STEP: u8 = 1;
/// The upcaster has the sign wrong.
const OTHER_STEP: u8 = 2;
/// `evolve` counts half.
const OTHER_EVOLVE: u8 = 3;

#[derive(Debug, PartialEq, tenure_macros::Event)]
#[event(crate = "crate::api")]
enum PurseEvent {
    #[event(name = "moved", version = 2)]
    Moved { cents: i64 },
    #[event(name = "labelled", version = 1)]
    Labelled { text: String },
}

impl<const MISTAKE: u8> Aggregate for Purse<MISTAKE> {
    type Event = PurseEvent;
    const KIND: &'static str = "purse";

    fn evolve(&mut self, event: &PurseEvent) {
        match event {
            PurseEvent::Moved { cents } if MISTAKE == OTHER_EVOLVE => self.cents += cents / 2,
            PurseEvent::Moved { cents } => self.cents += cents,
            PurseEvent::Labelled { text } => self.label = Some(text.clone()),
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default()
    }

    fn upcasters() -> Upcasters {
        #[derive(serde::Deserialize)]
        struct MovedV1 {
            by: i64,
        }
        match MISTAKE {
            NO_STEP => Upcasters::none(),
            OTHER_STEP => Upcasters::none().step(("moved", 1), ("moved", 2), |old: MovedV1| {
                Fields::new().with("cents", -old.by)
            }),
            _ => Upcasters::none().step(("moved", 1), ("moved", 2), |old: MovedV1| {
                Fields::new().with("cents", old.by)
            }),
        }
    }
}

/// The golden files of last month.
fn written() -> Folder {
    let folder = Folder::new();
    let golden = golden::<before::Purse>(folder.path()).events(before::examples());
    assert_eq!(golden.run(Mode::Write).unwrap().len(), 2);
    folder
}

fn present<const MISTAKE: u8>(folder: &Folder) -> super::Golden<Purse<MISTAKE>> {
    golden(folder.path())
        .event(PurseEvent::Moved { cents: 30 })
        .event(PurseEvent::Labelled { text: "a".into() })
}

fn wrong<const MISTAKE: u8>(folder: &Folder, mode: Mode) -> String {
    folder.anonymous(&present::<MISTAKE>(folder).run(mode).unwrap_err())
}

#[test]
fn golden_files_are_written_when_told_to_and_only_then() {
    let folder = Folder::new();
    let golden = || golden::<before::Purse>(folder.path()).events(before::examples());
    let text = folder.anonymous(&golden().run(Mode::Compare).unwrap_err());
    assert!(!folder.path().exists());
    assert!(
        text.contains(
            "<folder>/moved.v1.jsonl has no example of \"moved\" version 1 with {\"by\":-7}"
        ) && text.contains("TENURE_GOLDEN=write"),
        "{text}"
    );
    assert_eq!(golden().run(Mode::Write).unwrap().len(), 2);
    assert_eq!(
        folder.file("moved.v1.jsonl"),
        concat!(
            r#"{"tenure":"golden events","format":1,"kind":"purse","event":"moved","schema":1}"#,
            "\n",
            r#"{"fields":{"by":30},"cbor":"a1626279181e","json":"{\"by\":30}","becomes":[{"event":"moved","schema":1,"fields":{"by":30}}]}"#,
            "\n",
            r#"{"fields":{"by":-7},"cbor":"a162627926","json":"{\"by\":-7}","becomes":[{"event":"moved","schema":1,"fields":{"by":-7}}]}"#,
            "\n",
        )
    );
    assert_eq!(golden().run(Mode::Compare).unwrap(), [] as [PathBuf; 0]);
    assert_eq!(golden().run(Mode::Write).unwrap(), [] as [PathBuf; 0]);
}

#[test]
fn a_version_that_is_upcast_is_accepted_once_and_then_held_to() {
    let folder = written();
    let text = wrong::<SOUND>(&folder, Mode::Write);
    assert!(
        text.contains("\"moved\" version 1 in CBOR becomes"),
        "{text}"
    );
    assert!(text.contains("in JSON becomes"), "{text}");
    assert!(text.contains("TENURE_GOLDEN=accept"), "{text}");
    let changed = present::<SOUND>(&folder).run(Mode::Accept).unwrap();
    assert_eq!(changed.len(), 2, "the old version, and the new one's file");
    assert!(folder.file("moved.v1.jsonl").contains("a1626279181e"));
    assert_eq!(present::<SOUND>(&folder).run(Mode::Compare), Ok(vec![]));

    let other = wrong::<OTHER_STEP>(&folder, Mode::Compare);
    assert!(
        other.contains(r#"becomes [{"event":"moved","schema":2,"fields":{"cents":-30}}] and became [{"event":"moved","schema":2,"fields":{"cents":30}}]"#),
        "{other}"
    );
    assert_eq!(
        other.matches("\n- ").count(),
        4,
        "two examples, two codecs: {other}"
    );
}

#[test]
fn a_version_that_is_gone_is_missed_in_every_mode() {
    let folder = written();
    for mode in [Mode::Compare, Mode::Write, Mode::Accept] {
        let text = wrong::<NO_STEP>(&folder, mode);
        assert!(
            text.contains(
                "<folder>/moved.v1.jsonl: this build does not know \"moved\" version 1 any more"
            ),
            "{mode:?}: {text}"
        );
    }
}

#[test]
fn a_type_without_an_example_is_missed() {
    let folder = Folder::new();
    let text = golden::<Purse<SOUND>>(folder.path())
        .run(Mode::Write)
        .unwrap_err();
    for of in [
        "\"moved\" version 1",
        "\"moved\" version 2",
        "\"labelled\" version 1",
    ] {
        assert!(text.contains(&format!("{of} has no golden file")), "{text}");
    }
    let unknown = golden::<Purse<SOUND>>(folder.path()).stored(("moved", 7), &());
    let text = unknown.run(Mode::Write).unwrap_err();
    assert!(
        text.contains("an example is given of \"moved\" version 7"),
        "{text}"
    );
    let old = Fields::new().with("by", 1);
    let given = present::<SOUND>(&folder).stored(("moved", 1), &old);
    assert_eq!(given.run(Mode::Write).unwrap().len(), 3);
}

#[test]
fn golden_files_that_are_damaged_are_told_with_their_lines() {
    for (change, told) in [
        (
            ("a162627926", "a1626"),
            "moved.v1.jsonl:3: the line is damaged: \"cbor\" is not pairs",
        ),
        (
            ("a162627926", "ff"),
            "moved.v1.jsonl:3: \"moved\" version 1 in CBOR cannot be read any more",
        ),
        (
            ("\"format\":1", "\"format\":2"),
            "moved.v1.jsonl:1: its format is 2, this build reads format 1",
        ),
        (
            ("golden events", "recorded streams"),
            "moved.v1.jsonl:1: it holds \"recorded streams\"",
        ),
        (
            ("\"kind\":\"purse\"", "\"kind\":\"bag\""),
            "moved.v1.jsonl:1: its kind is \"bag\"",
        ),
        (
            (
                "\"event\":\"moved\",\"schema\":1}\n",
                "\"event\":\"moved\",\"schema\":2}\n",
            ),
            "moved.v1.jsonl:1: the file of \"moved\" version 2 is to be named moved.v2.jsonl",
        ),
        (
            ("\"becomes\"", "\"become\""),
            "moved.v1.jsonl:2: the line is damaged: missing field `becomes`",
        ),
    ] {
        let folder = written();
        folder.rewrite("moved.v1.jsonl", |text| text.replace(change.0, change.1));
        let golden = golden::<before::Purse>(folder.path()).events(before::examples());
        let text = golden.run(Mode::Compare).unwrap_err();
        assert!(text.contains(told), "{change:?}: {text}");
    }
}

/// Two purses as they were recorded last month.
const RECORDED: &str = concat!(
    r#"{"tenure":"recorded streams","format":1,"namespace":"bank","kind":"purse","codec":"json"}"#,
    "\n",
    r#"{"entity":"a","sequence":3,"time_ms":1000,"events":[{"event":"moved","schema":1,"version":1,"json":"{\"by\":30}"}],"state":{"cents":30}}"#,
    "\n",
    r#"{"entity":"a","sequence":5,"time_ms":2000,"events":[{"event":"labelled","schema":1,"version":2,"json":"{\"text\":\"x\"}"},{"event":"moved","schema":1,"version":4,"json":"{\"by\":-7}"}],"state":{"cents":23}}"#,
    "\n",
    r#"{"entity":"b","sequence":4,"time_ms":1500,"events":[{"event":"moved","schema":2,"version":1,"json":"{\"cents\":1}"}],"state":{"cents":1}}"#,
    "\n",
    r#"{"commits":3}"#,
    "\n",
);

#[derive(serde::Serialize)]
struct Kept {
    cents: i64,
}

fn folded<const MISTAKE: u8>(streams: &RecordedStreams) -> Vec<String> {
    let kept = |purse: &Purse<MISTAKE>| Kept { cents: purse.cents };
    let differences = streams.differences(kept).unwrap();
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn a_recording_that_still_folds_has_no_difference() {
    let streams = RecordedStreams::parse("r.jsonl", RECORDED).unwrap();
    assert_eq!(streams.to_string(), RECORDED);
    assert_eq!(folded::<SOUND>(&streams), [] as [&str; 0]);
}

#[test]
fn an_evolve_that_changed_is_told_commit_by_commit() {
    let streams = RecordedStreams::parse("r.jsonl", RECORDED).unwrap();
    assert_eq!(
        folded::<OTHER_EVOLVE>(&streams),
        [
            r#"line 2: "a" at version 1, after "moved" version 1: state.cents is 15, recorded was 30"#,
            r#"line 3: "a" at version 4, after "labelled" version 1, "moved" version 1: state.cents is 12, recorded was 23"#,
            r#"line 4: "b" at version 1, after "moved" version 2: state.cents is 0, recorded was 1"#,
        ]
    );
    let last = streams.only_last_states();
    assert_eq!(folded::<OTHER_EVOLVE>(&last).len(), 2);
    assert_eq!(
        RecordedStreams::parse("r.jsonl", &last.to_string()).unwrap(),
        last
    );
}

#[test]
fn an_upcaster_that_is_missing_is_told_and_the_rest_is_folded() {
    let streams = RecordedStreams::parse("r.jsonl", RECORDED).unwrap();
    let told = folded::<NO_STEP>(&streams);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(
            r#"line 2: "a" at version 1, after "moved" version 1: this build knows no event"#
        ),
        "{told:?}"
    );
}

#[test]
fn a_recording_of_something_else_is_refused() {
    let text = |text: &str| {
        let streams = RecordedStreams::parse("r.jsonl", text).unwrap();
        let kept = |purse: &Purse<SOUND>| Kept { cents: purse.cents };
        streams.differences(kept).unwrap_err().to_string()
    };
    let kind = text(&RECORDED.replace("\"purse\"", "\"bag\""));
    assert_eq!(kind, "r.jsonl:1: its kind is \"bag\", not \"purse\"");
    let stateless = text(&RECORDED.replace("\"state\"", "\"other\""));
    assert!(stateless.contains("no state was kept"), "{stateless}");
}

#[test]
fn recordings_that_are_damaged_are_refused_with_their_lines() {
    let last = RECORDED.find("{\"commits\"").unwrap();
    for (text, told) in [
        (String::new(), "r.jsonl:1: it is empty"),
        (
            "x\n".to_owned(),
            "r.jsonl:1: the line is damaged: expected value, column 1",
        ),
        (
            RECORDED.replace("\"format\":1", "\"format\":7"),
            "r.jsonl:1: its format is 7, this build reads format 1",
        ),
        (
            RECORDED.replace("\"codec\":\"json\"", "\"codec\":\"avro\""),
            "r.jsonl:1: its codec is \"avro\"",
        ),
        (
            RECORDED[..last].to_owned(),
            "r.jsonl:5: the last line is missing",
        ),
        (
            RECORDED[..last - 20].to_owned(),
            "r.jsonl:4: the line is damaged: EOF while parsing",
        ),
        (
            RECORDED.replace("\"commits\":3", "\"commits\":4"),
            "r.jsonl:5: 4 commits were written, 3 are there",
        ),
        (
            RECORDED.replace("\"version\":4", "\"version\":2"),
            "r.jsonl:3: version 2 of \"a\" follows 2",
        ),
        (
            // Versions go on over a tombstone.
            RECORDED
                .replace(
                    "\"version\":1,\"json\":\"{\\\"by\\\":30}\"}],",
                    "\"version\":1,\"json\":\"{\\\"by\\\":30}\"}],\"tombstone\":true,",
                )
                .replace("\"version\":2", "\"version\":1"),
            "r.jsonl:3: version 1 of \"a\" follows 1",
        ),
        (
            RECORDED.replace("\"sequence\":5", "\"sequence\":3"),
            "r.jsonl:3: sequence 3 of \"a\" follows 3",
        ),
        (
            RECORDED.replace("\"json\":\"{\\\"cents\\\":1}\"", "\"hex\":\"a\""),
            "r.jsonl:4: \"hex\" of \"moved\" is not pairs",
        ),
    ] {
        let error = RecordedStreams::parse("r.jsonl", &text)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(told), "{told}: {error}");
    }
    let absent = RecordedStreams::read("no/such.jsonl").unwrap_err();
    assert!(
        absent
            .to_string()
            .starts_with("no/such.jsonl:1: it cannot be read"),
        "{absent}"
    );
}
