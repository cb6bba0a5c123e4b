//! Why a namespace or a kind cannot be used, and what to do about it.

use crate::format::FormatError;
use crate::id::{LayoutId, Partition};
use crate::name::{KindName, Namespace};
use crate::port::{Mismatch, Refused, ServerVersion};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Why a namespace or a kind cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SpaceError {
    /// The wish itself cannot be.
    #[error(
        "a namespace cannot have {shards} shards in {streams} event streams: ask for 1 to {shards_max} shards, in no more streams than shards"
    )]
    BadWish {
        /// The shards wished for.
        shards: u16,
        /// The streams wished for.
        streams: u16,
        /// How many shards there may be.
        shards_max: u16,
    },
    /// The account has no JetStream.
    #[error(
        "the account has no JetStream: enable it in the server's configuration, or use another account"
    )]
    NoJetStream,
    /// The server is older than the oldest one that works.
    #[error("nats-server {found} is too old: use 2.12.14 or later of 2.12, or 2.14.4 or later")]
    ServerTooOld {
        /// The server's version.
        found: ServerVersion,
    },
    /// The user may not do what is needed.
    #[error("the user may not {what}: grant it ({text})")]
    Denied {
        /// What was tried.
        what: String,
        /// The server's text.
        text: String,
    },
    /// A stream is absent and may not be created.
    #[error(
        "stream {stream:?} does not exist and may not be created here: save this as {stream}.json and let a user who may run `nats stream add --config {stream}.json`: {config}"
    )]
    StreamMissing {
        /// The stream.
        stream: String,
        /// Its settings, as the server's API and the `nats` program read them (JSON).
        config: String,
    },
    /// An event stream is gone though the namespace was in use.
    #[error(
        "stream {stream:?} is gone, but its namespace was in use: restore it from a backup, or choose another namespace"
    )]
    StreamLost {
        /// The stream.
        stream: String,
    },
    /// A stream has settings with which the promises do not hold.
    #[error("{}", Lines(.0))]
    Settings(Vec<Mismatch>),
    /// A stream has fewer replicas than are wanted.
    #[error(
        "stream {stream:?} has, or can have here, {actual} of the {wanted} replicas that are wanted: run `nats stream edit {stream} --replicas {wanted}` on a cluster that has them, or ask for {actual}"
    )]
    LessDurable {
        /// The stream.
        stream: String,
        /// The replicas wished for.
        wanted: u32,
        /// The replicas that it has or can have.
        actual: u32,
    },
    /// Another stream takes in one of the subjects.
    #[error(
        "stream {stream:?} cannot be created: another stream of the account takes in one of its subjects ({subjects}); change that one or choose another namespace"
    )]
    Overlap {
        /// The stream.
        stream: String,
        /// Its subjects.
        subjects: String,
    },
    /// A stream has messages that are not Tenure's.
    #[error(
        "stream {stream:?} does not begin with the anchor of its namespace but with {subject:?}: it belongs to something else, choose another namespace"
    )]
    NotAnchored {
        /// The stream.
        stream: String,
        /// The subject of its first message.
        subject: String,
    },
    /// A stream is anchored as another one of its namespace.
    #[error(
        "stream {stream:?} is anchored as event stream number {found}: restore it under its own name"
    )]
    WrongPlace {
        /// The stream.
        stream: String,
        /// The number in its anchor.
        found: Partition,
    },
    /// The namespace is laid out in another way than is asked for.
    #[error(
        "the namespace has {stored} {what}, not {wanted}: a layout is fixed for good, so ask for {stored} or for none, or choose another namespace"
    )]
    LayoutDiffers {
        /// What differs.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        what: crate::step::ProgramText,
        /// What the namespace has.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
    /// A record or a stream belongs to another layout than the namespace has.
    #[error(
        "{what} is of layout {found}, but the namespace has layout {expected}: parts of two namespaces were mixed, restore them from one backup"
    )]
    OtherLayout {
        /// Whose layout it is.
        what: String,
        /// The namespace's layout.
        expected: LayoutId,
        /// The layout found.
        found: LayoutId,
    },
    /// An export is to fill a namespace that is there already.
    #[error("namespace {namespace} is in use: import into a new one")]
    InUse {
        /// The namespace.
        namespace: Namespace,
    },
    /// The namespace is being filled from an export.
    #[error(
        "namespace {namespace} is being filled from an export of {source_namespace}: run that import to its end first"
    )]
    Importing {
        /// The namespace.
        namespace: Namespace,
        /// The namespace that was exported.
        source_namespace: Namespace,
    },
    /// Another export began to fill the namespace.
    #[error(
        "another export of {source_namespace} began to fill namespace {namespace}: import that one to its end, or import into a new namespace"
    )]
    OtherImport {
        /// The namespace.
        namespace: Namespace,
        /// The namespace that was exported.
        source_namespace: Namespace,
    },
    /// The export is in the namespace already.
    #[error(
        "the export was imported into namespace {namespace} already: there is nothing left to do"
    )]
    Imported {
        /// The namespace.
        namespace: Namespace,
    },
    /// A kind is recorded in another way than it is asked for.
    #[error(
        "kind {kind} has {what} {stored}, not {wanted}: a kind is fixed at first use, so ask for {stored} or use another name"
    )]
    KindDiffers {
        /// The kind.
        kind: KindName,
        /// What differs.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        what: crate::step::ProgramText,
        /// What is recorded.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
    /// More kinds wait than may.
    #[error("more than {kinds_max} kinds are opened at once")]
    TooManyKinds {
        /// How many may wait.
        kinds_max: usize,
    },
    /// A record cannot be read.
    #[error(
        "a record of the namespace cannot be read ({0}): use the program that wrote it, or restore it from a backup"
    )]
    Format(FormatError),
    /// The store refuses for good.
    #[error("the store refused to {what}: {refused}")]
    Refused {
        /// What was tried.
        what: String,
        /// The refusal.
        refused: Refused,
    },
    /// The store did not answer, or not for good, in time.
    #[error(
        "the store did not serve the namespace in time (at last: {last}): look whether it is up, and try again"
    )]
    Timeout {
        /// What was in the way at last.
        last: String,
    },
}

/// Mismatches, one per line.
struct Lines<'m>(&'m [Mismatch]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mismatch) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{mismatch}")?;
        }
        f.write_str("\nchange it (`nats stream edit`), or choose another namespace")
    }
}
