//! What a client must not send.

/// Why a connection ends by what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A line that is no operation, or a message without its end.
    #[error("Unknown Protocol Operation")]
    Operation,
    /// An operation whose arguments are not those that it takes.
    #[error("invalid arguments")]
    Arguments,
    /// A line that is longer than a control line may be.
    #[error("maximum control line exceeded")]
    ControlLine,
    /// A message that is larger than the server takes.
    #[error("Maximum Payload Violation")]
    Payload,
    /// What a client says of itself is not JSON.
    #[error("invalid connect options")]
    Connect,
    /// Headers from a client that said that it has none.
    #[error("message headers not supported")]
    HeadersOff,
    /// The answer "no responders" is asked for, which is a header.
    #[error("no responders requires headers support")]
    NoRespondersWithoutHeaders,
    /// More subscriptions than one connection may have.
    #[error("maximum subscriptions exceeded")]
    Subscriptions,
}

impl Violation {
    /// Whether a client is told of it before its connection ends.
    pub(crate) const fn is_told(self) -> bool {
        !matches!(self, Self::Arguments | Self::Connect)
    }
}
