//! What an entity is asked, as a list that decodes what comes over the wire.

use super::serve::{DecodeCommand, DecodeQuery, ServedCommand, ServedQuery};
use super::{Answer, Entity};
use crate::api::model::SagaModel;
use crate::api::{Aggregate, Decide, Delete, Message};
use std::collections::BTreeMap;
use std::fmt;

/// A message's stable name and the version of its type.
pub(crate) type MessageType = (&'static str, u16);

/// The commands and queries that the owner of an entity takes, each by its stable name and version.
///
/// Two types of the same name and version cannot both be taken: the one that was named last is.
#[must_use]
pub struct Messages<A: Aggregate> {
    pub(crate) commands: BTreeMap<MessageType, DecodeCommand<A>>,
    pub(crate) queries: BTreeMap<MessageType, DecodeQuery<A>>,
    /// That they are a saga's.
    pub(crate) saga: Option<SagaModel>,
}

impl<A: Entity> Messages<A> {
    /// None.
    pub fn new() -> Self {
        Self {
            commands: BTreeMap::new(),
            queries: BTreeMap::new(),
            saga: None,
        }
    }

    /// They are a saga's.
    pub(crate) fn saga(mut self, saga: SagaModel) -> Self {
        self.saga = Some(saga);
        self
    }

    /// And this command.
    pub fn command<C: Message>(mut self) -> Self
    where
        A: Decide<C>,
    {
        let decode = ServedCommand::<A, C>::decode;
        self.commands.insert((C::NAME, C::VERSION), decode);
        self
    }

    /// And this query.
    pub fn query<Q: Message>(mut self) -> Self
    where
        A: Answer<Q>,
    {
        let decode = ServedQuery::<A, Q>::decode;
        self.queries.insert((Q::NAME, Q::VERSION), decode);
        self
    }
}

/// The newest version among messages of a name.
pub(super) fn newest<T>(messages: &BTreeMap<MessageType, T>, name: &str) -> Option<u16> {
    let of_name = messages.range((name, 0)..=(name, u16::MAX));
    of_name.last().map(|((_, version), _)| *version)
}

impl<A: Aggregate> Messages<A> {
    /// Whether a command is among them, or one that every kind takes.
    pub(crate) fn takes(&self, command: MessageType) -> bool {
        self.decoder(command).is_some()
    }

    /// What makes a job of a command's bytes.
    pub(crate) fn decoder(&self, (name, version): (&str, u16)) -> Option<DecodeCommand<A>> {
        match self.commands.get(&(name, version)) {
            Some(decode) => Some(*decode),
            None if (name, version) == (Delete::NAME, Delete::VERSION) => {
                Some(ServedCommand::<A, Delete>::decode)
            }
            None => None,
        }
    }
}

impl<A: Entity> Default for Messages<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Aggregate> fmt::Debug for Messages<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("commands", &self.commands.keys())
            .field("queries", &self.queries.keys())
            .finish()
    }
}
