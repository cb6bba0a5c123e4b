//! The settings that the protocol needs of its streams, and the check that a stream has them
//! (S3, K3).

use super::{Discard, Mismatch, Persist, Retention, Storage, StreamName, StreamSettings};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

/// For how long the server remembers deduplication ids: its own default.
const DEDUP_WINDOW_NS: u64 = 120_000_000_000;

impl StreamSettings {
    /// A stream of events with the records that fence them: nothing in it expires, is discarded or
    /// can be deleted one by one.
    pub fn event_log(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        Self {
            name,
            subjects,
            replicas,
            storage: Storage::File,
            retention: Retention::Limits,
            discard: Discard::New,
            age_max_ns: 0,
            messages_max: -1,
            messages_per_subject_max: -1,
            bytes_max: -1,
            message_bytes_max: -1,
            deny_delete: true,
            deny_purge: false,
            allow_rollup: true,
            allow_direct: true,
            allow_atomic: true,
            allow_ttl: false,
            marker_ttl_s: 0,
            dedup_window_ns: DEDUP_WINDOW_NS,
            persist: Persist::Default,
            republish: None,
            foreign: Vec::new(),
        }
    }

    /// The stream of the layout and kind records; they are written once, and only direct gets and
    /// checked publishes are used on it.
    pub fn control(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        Self::event_log(name, subjects, replicas)
    }

    /// The stream of snapshot bodies: immutable, but an old one is deleted after a commit named its
    /// successor (S20), by a message that replaces it and expires, and bodies may expire themselves.
    pub fn snapshots(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        let log = Self::event_log(name, subjects, replicas);
        Self {
            deny_delete: false,
            allow_atomic: false,
            allow_ttl: true,
            ..log
        }
    }

    /// The stream of membership records: of each name the last one, which expires when nobody cleans
    /// it up (S16). That it is kept until then is what the leased class rests on (P3).
    pub fn members(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        let log = Self::event_log(name, subjects, replicas);
        Self {
            messages_per_subject_max: 1,
            deny_purge: true,
            allow_rollup: false,
            allow_atomic: false,
            allow_ttl: true,
            ..log
        }
    }

    /// The stream of what consumers know. A checkpoint or an ownership record is replaced by the next one
    /// and never expires (H14); a dead letter is removed by a message that replaces it and expires.
    pub fn consumers(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        let log = Self::event_log(name, subjects, replicas);
        Self {
            allow_atomic: false,
            allow_ttl: true,
            ..log
        }
    }

    /// The bucket of the values of projections, as clients of NATS KV read it: of each key the last value.
    pub fn values(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        let log = Self::event_log(name, subjects, replicas);
        Self {
            messages_per_subject_max: 1,
            allow_atomic: false,
            ..log
        }
    }

    /// The stream of what is published durably on the bus: each message expires when its time is over,
    /// and none is replaced.
    pub fn bus(name: StreamName, subjects: Vec<String>, replicas: u32) -> Self {
        let log = Self::event_log(name, subjects, replicas);
        Self {
            deny_purge: true,
            allow_rollup: false,
            allow_atomic: false,
            allow_ttl: true,
            ..log
        }
    }

    /// The settings as the server's API and the `nats` program read them.
    pub fn to_json(&self) -> String {
        let subjects: Vec<String> = self
            .subjects
            .iter()
            .map(|subject| quoted(subject))
            .collect();
        let mut json = format!(
            concat!(
                "{{\"name\":{name},\"subjects\":[{subjects}],\"retention\":\"{retention}\",",
                "\"max_consumers\":-1,\"max_msgs\":{max_msgs},\"max_bytes\":{max_bytes},",
                "\"max_age\":{max_age},\"max_msgs_per_subject\":{per_subject},",
                "\"max_msg_size\":{max_msg_size},\"discard\":\"{discard}\",",
                "\"storage\":\"{storage}\",\"num_replicas\":{replicas},",
                "\"duplicate_window\":{window},\"deny_delete\":{deny_delete},",
                "\"deny_purge\":{deny_purge},\"allow_rollup_hdrs\":{rollup},",
                "\"allow_direct\":{direct},\"allow_atomic\":{atomic},\"allow_msg_ttl\":{ttl}",
            ),
            name = quoted(&self.name),
            subjects = subjects.join(","),
            retention = retention(self.retention),
            max_msgs = self.messages_max,
            max_bytes = self.bytes_max,
            max_age = self.age_max_ns,
            per_subject = self.messages_per_subject_max,
            max_msg_size = self.message_bytes_max,
            discard = match self.discard {
                Discard::Old => "old",
                Discard::New => "new",
            },
            storage = match self.storage {
                Storage::File => "file",
                Storage::Memory => "memory",
            },
            replicas = self.replicas,
            window = self.dedup_window_ns,
            deny_delete = self.deny_delete,
            deny_purge = self.deny_purge,
            rollup = self.allow_rollup,
            direct = self.allow_direct,
            atomic = self.allow_atomic,
            ttl = self.allow_ttl,
        );
        if self.marker_ttl_s > 0 {
            json += &format!(
                ",\"subject_delete_marker_ttl\":{}000000000",
                self.marker_ttl_s
            );
        }
        if self.persist == Persist::Async {
            json += ",\"persist_mode\":\"async\"";
        }
        if let Some(republish) = &self.republish {
            let (src, dest) = (quoted(&republish.source), quoted(&republish.destination));
            json += &format!(",\"republish\":{{\"src\":{src},\"dest\":{dest}}}");
        }
        json + "}"
    }

    /// What of these, a stream's actual settings, is not as `wanted`. Rights beyond what is needed,
    /// more replicas, and the window for deduplication ids, which no commit carries, are no
    /// mismatch.
    pub fn mismatches(&self, wanted: &Self) -> Vec<Mismatch> {
        let mut check = Check {
            stream: &self.name,
            found: Vec::new(),
        };
        self.check_retention(wanted, &mut check);
        self.check_rights(wanted, &mut check);
        self.check_place(wanted, &mut check);
        for setting in &self.foreign {
            let (setting, why) = foreign(setting);
            check.wrong(setting, &"set", &"it unset", why);
        }
        check.found
    }

    /// Nothing may go away by itself.
    fn check_retention(&self, wanted: &Self, check: &mut Check<'_>) {
        check.equal(
            "retention",
            retention(self.retention),
            retention(wanted.retention),
            "messages must stay when consumers have seen them",
        );
        if self.age_max_ns != wanted.age_max_ns {
            check.wrong(
                "max_age",
                &duration(self.age_max_ns),
                &duration(wanted.age_max_ns),
                "an event log must not expire",
            );
        }
        check.equal(
            "max_msgs",
            self.messages_max,
            wanted.messages_max,
            "a full stream would lose its oldest records or refuse new ones",
        );
        let kept = match wanted.messages_per_subject_max {
            1 => "a heartbeat replaces the one before it",
            _ => "an entity would lose its oldest commits",
        };
        check.equal(
            "max_msgs_per_subject",
            self.messages_per_subject_max,
            wanted.messages_per_subject_max,
            kept,
        );
        if self.bytes_max != -1 && self.discard != Discard::New {
            check.wrong(
                "max_bytes",
                &format!("{} with discard old", self.bytes_max),
                &"-1, or discard new",
                "a full stream must refuse what is new, not lose what is old",
            );
        }
        check.equal(
            "max_msg_size",
            self.message_bytes_max,
            wanted.message_bytes_max,
            "only the server's max_payload bounds a commit",
        );
        check.equal(
            "subject_delete_marker_ttl",
            self.marker_ttl_s,
            wanted.marker_ttl_s,
            "nobody but Tenure writes to its subjects",
        );
    }

    /// What a client may do to stored messages.
    fn check_rights(&self, wanted: &Self, check: &mut Check<'_>) {
        const LAST: &str = "an older ownership record comes back when the newest goes";
        if wanted.deny_delete {
            check.equal("deny_delete", self.deny_delete, true, LAST);
        }
        let ttl = match wanted.allow_ttl {
            true => {
                "old snapshots and dead letters are removed by messages that expire, and old heartbeats expire"
            }
            false => LAST,
        };
        check.equal("allow_msg_ttl", self.allow_ttl, wanted.allow_ttl, ttl);
        if wanted.allow_rollup {
            check.equal(
                "allow_rollup_hdrs",
                self.allow_rollup,
                true,
                "barriers and indices replace their predecessors",
            );
            check.equal(
                "deny_purge",
                self.deny_purge,
                false,
                "rollups need the right to purge",
            );
        }
        if wanted.allow_direct {
            check.equal(
                "allow_direct",
                self.allow_direct,
                true,
                "entities are read by direct gets",
            );
        }
        if wanted.allow_atomic {
            check.equal(
                "allow_atomic",
                self.allow_atomic,
                true,
                "a commit of several messages is stored whole or not at all",
            );
        }
        if wanted.persist == Persist::Default && self.persist == Persist::Async {
            check.wrong(
                "persist_mode",
                &"async",
                &"default",
                "an acknowledged commit must be written",
            );
        }
    }

    /// Where the stream is and what goes into it.
    fn check_place(&self, wanted: &Self, check: &mut Check<'_>) {
        let sorted = |subjects: &[String]| {
            let mut subjects = subjects.to_vec();
            subjects.sort();
            subjects
        };
        if sorted(&self.subjects) != sorted(&wanted.subjects) {
            check.wrong(
                "subjects",
                &self.subjects.join(","),
                &wanted.subjects.join(","),
                "a shard is in exactly one stream, with all its records",
            );
        }
        if self.replicas < wanted.replicas {
            check.wrong(
                "num_replicas",
                &self.replicas,
                &format!("{} or more", wanted.replicas),
                "less durability was configured than is wanted: scale the stream or ask for less",
            );
        }
        if wanted.storage == Storage::File && self.storage == Storage::Memory {
            check.wrong(
                "storage",
                &"memory",
                &"file",
                "a restart must not empty an event log",
            );
        }
        if let Some(republish) = &wanted.republish
            && self.republish.as_ref() != Some(republish)
        {
            let actual = self.republish.as_ref().map_or_else(
                || "unset".to_owned(),
                |republish| format!("{} to {}", republish.source, republish.destination),
            );
            let needed = format!("{} to {}", republish.source, republish.destination);
            check.wrong(
                "republish",
                &actual,
                &needed,
                match (wanted.allow_ttl, wanted.messages_per_subject_max) {
                    (true, 1) => "nodes hear each other's heartbeats by it",
                    (true, _) => "who listens to the bus hears by it what is stored",
                    (false, _) => "nodes learn of a new owner by it",
                },
            );
        }
    }
}

/// Collects what does not fit.
struct Check<'s> {
    stream: &'s str,
    found: Vec<Mismatch>,
}

impl Check<'_> {
    fn equal<T: Display + PartialEq>(
        &mut self,
        setting: &'static str,
        actual: T,
        needed: T,
        why: &'static str,
    ) {
        if actual != needed {
            self.wrong(setting, &actual, &needed, why);
        }
    }

    fn wrong(
        &mut self,
        setting: &'static str,
        actual: &dyn Display,
        needed: &dyn Display,
        why: &'static str,
    ) {
        self.found.push(Mismatch {
            stream: self.stream.to_owned(),
            setting,
            actual: actual.to_string(),
            needed: needed.to_string(),
            why,
        });
    }
}

/// A JSON string; names and subjects of streams have no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn retention(retention: Retention) -> &'static str {
    match retention {
        Retention::Limits => "limits",
        Retention::Interest => "interest",
        Retention::WorkQueue => "workqueue",
    }
}

/// A setting that no stream of Tenure has, by the server's name, and why it has none.
fn foreign(setting: &str) -> (&'static str, &'static str) {
    const UNCHECKED: &str = "messages would come in past all checks";
    const CHANGED: &str = "what is stored must be what was sent";
    match setting {
        "mirror" => ("mirror", "a mirror takes no commits"),
        "sources" => ("sources", UNCHECKED),
        "subject_transform" => ("subject_transform", CHANGED),
        "sealed" => ("sealed", "a sealed stream takes no commits"),
        "no_ack" => ("no_ack", "a commit counts when it is acknowledged"),
        "allow_msg_counter" => ("allow_msg_counter", CHANGED),
        "allow_msg_schedules" => ("allow_msg_schedules", UNCHECKED),
        "first_seq" => ("first_seq", "the anchor is a stream's first message"),
        _ => ("a setting that this program does not know", CHANGED),
    }
}

/// Nanoseconds in the largest unit that they are a whole number of.
fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1, "ns"),
    ];
    let unit = UNITS
        .iter()
        .find(|(unit, _)| ns > 0 && ns.is_multiple_of(*unit));
    unit.map_or_else(
        || "0".to_owned(),
        |(unit, name)| format!("{}{name}", ns / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::{Discard, Persist, Retention, Storage, StreamSettings};
    use crate::port::Republish;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;

    fn log() -> StreamSettings {
        let subjects = vec!["orders.ev.>".into(), "orders.own.>".into()];
        StreamSettings::event_log("orders_ev_0".into(), subjects, 1)
    }

    fn settings(actual: &StreamSettings, wanted: &StreamSettings) -> Vec<&'static str> {
        actual
            .mismatches(wanted)
            .iter()
            .map(|mismatch| mismatch.setting)
            .collect()
    }

    #[test]
    fn a_mismatch_names_stream_setting_remedy_and_reason() {
        let actual = StreamSettings {
            age_max_ns: 24 * 3_600_000_000_000,
            ..log()
        };
        let texts: Vec<String> = actual
            .mismatches(&log())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "stream \"orders_ev_0\" has max_age = 24h; Tenure needs 0, because an event log must \
              not expire"
            ]
        );
    }

    #[test]
    fn each_setting_of_the_rule_is_checked() {
        let wrong = |change: fn(&mut StreamSettings)| {
            let mut actual = log();
            change(&mut actual);
            settings(&actual, &log())
        };
        assert_eq!(wrong(|_| {}), [""; 0]);
        assert_eq!(wrong(|s| s.retention = Retention::WorkQueue), ["retention"]);
        assert_eq!(wrong(|s| s.age_max_ns = 1), ["max_age"]);
        assert_eq!(wrong(|s| s.messages_max = 10), ["max_msgs"]);
        assert_eq!(
            wrong(|s| s.messages_per_subject_max = 1),
            ["max_msgs_per_subject"]
        );
        assert_eq!(wrong(|s| s.message_bytes_max = 100), ["max_msg_size"]);
        assert_eq!(wrong(|s| s.deny_delete = false), ["deny_delete"]);
        assert_eq!(wrong(|s| s.deny_purge = true), ["deny_purge"]);
        assert_eq!(wrong(|s| s.allow_rollup = false), ["allow_rollup_hdrs"]);
        assert_eq!(wrong(|s| s.allow_direct = false), ["allow_direct"]);
        assert_eq!(wrong(|s| s.allow_atomic = false), ["allow_atomic"]);
        assert_eq!(wrong(|s| s.allow_ttl = true), ["allow_msg_ttl"]);
        assert_eq!(wrong(|s| s.marker_ttl_s = 1), ["subject_delete_marker_ttl"]);
        assert_eq!(wrong(|s| s.persist = Persist::Async), ["persist_mode"]);
        assert_eq!(wrong(|s| s.storage = Storage::Memory), ["storage"]);
        assert_eq!(wrong(|s| s.replicas = 0), ["num_replicas"]);
        assert_eq!(wrong(|s| s.subjects.push("other".into())), ["subjects"]);
        assert_eq!(wrong(|s| s.foreign.push("mirror".into())), ["mirror"]);
        assert_eq!(wrong(|s| s.foreign.push("new".into())).len(), 1);
    }

    #[test]
    fn a_full_stream_may_refuse_but_not_forget() {
        let full = StreamSettings {
            bytes_max: 1 << 30,
            ..log()
        };
        assert_eq!(settings(&full, &log()), [""; 0]);
        let forgets = StreamSettings {
            discard: Discard::Old,
            ..full
        };
        assert_eq!(settings(&forgets, &log()), ["max_bytes"]);
        let unbounded = StreamSettings {
            discard: Discard::Old,
            ..log()
        };
        assert_eq!(settings(&unbounded, &log()), [""; 0]);
    }

    #[test]
    fn more_than_is_wanted_is_fine() {
        let mut subjects = log().subjects;
        subjects.reverse();
        let more = StreamSettings {
            replicas: 3,
            dedup_window_ns: 1,
            subjects,
            ..log()
        };
        assert_eq!(settings(&more, &log()), [""; 0]);
        let memory = StreamSettings {
            storage: Storage::Memory,
            ..log()
        };
        assert_eq!(settings(&log(), &memory), [""; 0]);
        let snapshots = StreamSettings::snapshots("s".into(), log().subjects, 1);
        assert_eq!(settings(&log(), &snapshots), ["allow_msg_ttl"]);
    }

    #[test]
    fn settings_are_written_as_the_server_reads_them() {
        let republish = Republish {
            source: "o.own.>".into(),
            destination: "o.rep.>".into(),
        };
        let subjects = vec!["o.ev.>".into(), "o.own.>".into()];
        let log = StreamSettings::event_log("o_ev_0".into(), subjects, 3);
        let json = StreamSettings {
            republish: Some(republish),
            ..log
        }
        .to_json();
        assert_eq!(
            json,
            concat!(
                r#"{"name":"o_ev_0","subjects":["o.ev.>","o.own.>"],"retention":"limits","#,
                r#""max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"#,
                r#""max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"new","#,
                r#""storage":"file","num_replicas":3,"duplicate_window":120000000000,"#,
                r#""deny_delete":true,"deny_purge":false,"allow_rollup_hdrs":true,"#,
                r#""allow_direct":true,"allow_atomic":true,"allow_msg_ttl":false,"#,
                r#""republish":{"src":"o.own.>","dest":"o.rep.>"}}"#,
            )
        );
    }

    #[test]
    fn ownership_records_must_be_announced_where_it_is_wanted() {
        let republish = Republish {
            source: "a.>".into(),
            destination: "b.>".into(),
        };
        let wanted = StreamSettings {
            republish: Some(republish),
            ..log()
        };
        assert_eq!(settings(&log(), &wanted), ["republish"]);
        assert_eq!(settings(&wanted, &wanted), [""; 0]);
        assert_eq!(settings(&wanted, &log()), [""; 0]);
    }
}
