//! Which events of a history are told, beside its range: what no list in the log leads to, so that
//! it is looked for in what is read.

use super::Past;
use crate::format::Commit;
use crate::id::CommandId;
use crate::log::Range;

/// Which events are told.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) names: Vec<String>,
    pub(super) command: Option<CommandId>,
    pub(super) correlation: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

impl Wanted {
    /// Whether all are.
    pub(super) fn is_all(&self) -> bool {
        let Self {
            names,
            command,
            correlation,
            headers,
        } = self;
        names.is_empty() && command.is_none() && correlation.is_none() && headers.is_empty()
    }

    /// Whether an event of this name is told.
    pub(super) fn takes_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// Whether an event is told as far as its place and its command go; its content is not
    /// looked at, so it need not be decoded yet.
    pub(super) fn takes<E>(&self, range: &Range, past: &Past<E>) -> bool {
        let metadata = past.metadata();
        let (first, last) = (range.lower.version, range.upper.version);
        first.is_none_or(|first| past.version >= first)
            && last.is_none_or(|last| past.version <= last)
            && self.command.is_none_or(|id| past.command == Some(id))
            && self
                .headers
                .iter()
                .all(|(name, value)| metadata.header_value(name) == Some(value))
            && self
                .correlation
                .as_ref()
                .is_none_or(|id| past.correlation_id() == *id)
    }

    /// Whether nothing that is wanted can come after this commit: a command takes effect once.
    pub(super) fn is_met(&self, commit: &Commit) -> bool {
        let ids = || commit.commands.iter().map(|command| command.id);
        self.command
            .is_some_and(|wanted| ids().any(|id| id == wanted))
    }
}
