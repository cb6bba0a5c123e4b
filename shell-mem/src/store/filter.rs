//! Subject filters: what a stream takes in, what a scan looks at, and where republish sends.

use super::tree::FilterTree;
use alloc::string::String;
use alloc::vec::Vec;

/// Whether a literal subject is one of a filter's.
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in filter.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            (_, Some(_)) => return false,
        }
    }
    subject.next().is_none()
}

/// Whether some literal subject is one of both filters'.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) | (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

/// Whether a text can be a filter: no empty token, no space, `>` only at the end.
pub(crate) fn valid(filter: &str) -> bool {
    let mut tokens = filter.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() || token.contains(|c: char| c.is_ascii_whitespace()) {
            return false;
        }
        if token == ">" && tokens.peek().is_some() {
            return false;
        }
    }
    true
}

/// Whether a text is a literal subject: no empty token, no space, none that is a wildcard.
///
/// Each write asks this, and hardly a subject has a character to look at twice. So all bytes are
/// looked at without a branch, many at once, and tokens only where that leaves a doubt.
pub(crate) fn literal(subject: &str) -> bool {
    let bytes = subject.as_bytes();
    let is_odd = |byte: u8| byte.is_ascii_whitespace() | (byte == b'*') | (byte == b'>');
    let odd = bytes.iter().fold(false, |odd, byte| odd | is_odd(*byte));
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let empty = pairs.fold(false, |empty, (a, b)| empty | ((*a == b'.') & (*b == b'.')));
    if empty || matches!(bytes, [] | [b'.', ..] | [.., b'.']) {
        return false;
    }
    let is_literal = |token: &str| {
        !matches!(token, "*" | ">") && !token.bytes().any(|byte| byte.is_ascii_whitespace())
    };
    !odd || subject.split('.').all(is_literal)
}

/// A stream's `republish`: which subjects are announced, and as what.
#[derive(Clone, Debug)]
pub(super) struct Republished {
    source: String,
    destination: String,
    /// How many bytes of the source come before its first wildcard: most subjects of a stream are
    /// not announced, and differ in those.
    fixed: usize,
}

impl Republished {
    pub(super) fn new(source: &str, destination: &str) -> Self {
        let mut bytes = source.bytes();
        let fixed = bytes.position(|byte| matches!(byte, b'*' | b'>'));
        Self {
            source: source.into(),
            destination: destination.into(),
            fixed: fixed.unwrap_or(source.len()),
        }
    }

    /// Where it sends a subject: the destination with its wildcards filled in order.
    pub(super) fn subject_of(&self, subject: &str) -> Option<String> {
        if !subject.starts_with(&self.source[..self.fixed]) || !matches(&self.source, subject) {
            return None;
        }
        let tokens: Vec<&str> = subject.split('.').collect();
        let mut wild = Vec::new();
        let mut tail = &tokens[..0];
        for (n, token) in self.source.split('.').enumerate() {
            match token {
                "*" => wild.push(tokens[n]),
                ">" => tail = &tokens[n..],
                _ => {}
            }
        }
        let mut wild = wild.into_iter();
        let mut out: Vec<&str> = Vec::new();
        for token in self.destination.split('.') {
            match token {
                "*" => out.extend(wild.next()),
                ">" => out.extend(tail),
                literal => out.push(literal),
            }
        }
        Some(out.join("."))
    }
}

/// The filters of one stream, for a quick answer however many they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilterSet(FilterTree<()>);

impl FilterSet {
    pub(crate) fn new<'a>(filters: impl Iterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for filter in filters {
            set.add(filter);
        }
        set
    }

    pub(crate) fn add(&mut self, filter: &str) {
        self.0.get_or_default(filter);
    }

    pub(crate) fn takes_in(&self, subject: &str) -> bool {
        self.0.any(subject, |()| true)
    }

    /// Whether some literal subject is one of a filter's and of these.
    pub(crate) fn overlaps(&self, filter: &str) -> bool {
        self.0.overlaps(filter)
    }
}

/// The first filter that overlaps with one before it.
pub(crate) fn first_overlap<'a>(filters: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut set = FilterSet::default();
    for filter in filters {
        if set.overlaps(filter) {
            return Some(filter);
        }
        set.add(filter);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{FilterSet, Republished, first_overlap, literal, matches, overlap, valid};

    #[test]
    fn a_filter_takes_in_its_subjects() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.*", "a", false),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("*.b.*", "a.b.c", true),
            (">", "a", true),
            ("a", "a.b", false),
        ];
        for (filter, subject, expected) in cases {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
            let set = FilterSet::new([filter, "z.z"].into_iter());
            assert_eq!(set.takes_in(subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn filters_overlap_when_a_subject_is_in_both() {
        let yes = [
            ("a.b", "a.b"),
            ("a.*", "*.b"),
            ("a.>", "a.b.c"),
            (">", "a"),
            ("a.*.c", "a.b.>"),
        ];
        let no = [
            ("a.b", "a.c"),
            ("a.*", "a.b.c"),
            ("a.>", "a"),
            ("a.*", "b.*"),
        ];
        for (a, b) in yes {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
            assert_eq!(first_overlap([a, b].into_iter()), Some(b));
        }
        for (a, b) in no {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
            assert_eq!(first_overlap([a, b].into_iter()), None);
        }
    }

    #[test]
    fn subjects_are_tokens_without_spaces() {
        assert!(valid("a.*.>") && valid("a") && literal("a.b*"));
        assert!(!valid("") && !valid("a..b") && !valid("a.>.b") && !valid("a b") && !valid(".a"));
        assert!(!literal("a.*") && !literal("a.>"));
        for text in [
            "a", "a.b", "*", ">", "a.*.b", "a.>", "**.>>", "", ".", "a.", ".a", "a..b", "a b",
            "é.a",
        ] {
            let wild = text.split('.').any(|token| token == "*" || token == ">");
            assert_eq!(literal(text), valid(text) && !wild, "{text:?}");
        }
    }

    #[test]
    fn republish_fills_the_destination() {
        let republished = |source, destination, subject| {
            Republished::new(source, destination).subject_of(subject)
        };
        assert_eq!(republished(">", "r.>", "a.b").as_deref(), Some("r.a.b"));
        assert_eq!(
            republished("o.*.x.>", "r.*.>", "o.1.x.y.z").as_deref(),
            Some("r.1.y.z")
        );
        assert_eq!(republished("o.*", "r.*", "e.1"), None);
    }
}
