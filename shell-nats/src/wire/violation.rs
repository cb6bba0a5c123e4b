//! What the server says about rights, in the text of an error.

/// What the server says a user may not do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// Publish to a subject.
    Publish(String),
    /// Listen on a subject, or ask with it as the place for the answer.
    Inbox(String),
}

impl Violation {
    /// Reads `Permissions Violation for Publish to "orders.1"` and its like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("Permissions Violation for ")?;
        let quoted = || {
            let (_, rest) = rest.split_once('"')?;
            let (subject, _) = rest.rsplit_once('"')?;
            Some(subject.to_owned())
        };
        if rest.starts_with("Publish to ") {
            quoted().map(Self::Publish)
        } else if rest.starts_with("Publish with Reply of ") || rest.starts_with("Subscription to ")
        {
            quoted().map(Self::Inbox)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Violation;

    #[test]
    fn violations_name_their_subject() {
        let of = |text| Violation::parse(text);
        let publish = of("Permissions Violation for Publish to \"a.\\\"b\"");
        assert_eq!(publish, Some(Violation::Publish("a.\\\"b".into())));
        let inbox = of("Permissions Violation for Subscription to \"_INBOX.x.*\"");
        assert_eq!(inbox, Some(Violation::Inbox("_INBOX.x.*".into())));
        assert_eq!(of("Maximum Payload Violation"), None);
    }
}
