//! The W3C trace context of a command: `traceparent` and `tracestate` (Recommendation of 23 November
//! 2021), checked as strictly as that text says.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Where in a distributed trace something happened.
///
/// ```
/// use tenure_core::format::TraceContext;
///
/// let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")?;
/// let trace = trace.with_state("vendor=t61rcWkgMzE, other@system=1")?;
/// assert!(trace.is_sampled());
/// assert_eq!(trace.state(), "vendor=t61rcWkgMzE,other@system=1");
/// assert_eq!(trace.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
///
/// let error = TraceContext::parse("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01").unwrap_err();
/// assert!(error.to_string().contains("trace id"));
/// # Ok::<_, tenure_core::format::TraceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    state: String,
}

/// A trace context that the W3C rule refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TraceError {
    /// The `traceparent` is not one.
    #[error("traceparent {text:?} is refused: {problem}")]
    Parent {
        /// Its beginning.
        text: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A member of the `tracestate` is not one, or there are too many.
    #[error("tracestate is refused at {member:?}: {problem}")]
    State {
        /// The beginning of the member.
        member: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A `tracestate` means nothing without a `traceparent`.
    #[error("a tracestate needs a traceparent: give that first")]
    NoParent,
}

/// The length of a `traceparent` of version 00, in bytes.
const PARENT_LEN: usize = 55;

/// The stored length without the state, in bytes.
pub(super) const STORED_LEN: usize = 25;

/// How many members a `tracestate` may have.
const MEMBERS_MAX: usize = 32;

/// How many bytes of a refused text an error shows.
const SHOWN_MAX: usize = 64;

impl TraceContext {
    /// Reads a `traceparent`. One of a later version than 00 is read as far as version 00 goes, as
    /// the W3C rule has it.
    ///
    /// # Errors
    ///
    /// When it is not one: anything but lower-case hexadecimal digits and hyphens in their places,
    /// version `ff`, a trace id or parent id of zeros.
    pub fn parse(traceparent: &str) -> Result<Self, TraceError> {
        let refused = |problem| TraceError::Parent {
            text: shown(traceparent),
            problem,
        };
        let bytes = traceparent.as_bytes();
        let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
        if bytes.len() < PARENT_LEN {
            return Err(refused(
                "it is too short, 55 characters are version-traceid-parentid-flags",
            ));
        }
        if [2, 35, 52].iter().any(|at| bytes.get(*at) != Some(&b'-')) {
            return Err(refused(
                "hyphens must follow its 2 digits of version, 32 of trace id and 16 of parent id",
            ));
        }
        let version = hex(part(0, 2))
            .ok_or_else(|| refused("its version must be 2 hexadecimal digits in lower case"))?;
        let trace_id = hex(part(3, 35))
            .ok_or_else(|| refused("its trace id must be 32 hexadecimal digits in lower case"))?;
        let parent_id = hex(part(36, 52))
            .ok_or_else(|| refused("its parent id must be 16 hexadecimal digits in lower case"))?;
        let flags = hex(part(53, 55))
            .ok_or_else(|| refused("its flags must be 2 hexadecimal digits in lower case"))?;
        match (version, bytes.get(PARENT_LEN)) {
            (0xff, _) => return Err(refused("version ff is none")),
            (0, Some(_)) => return Err(refused("one of version 00 ends after 55 characters")),
            (_, Some(byte)) if *byte != b'-' => {
                return Err(refused(
                    "a hyphen must come before what a later version adds",
                ));
            }
            (_, Some(_) | None) => {}
        }
        if trace_id == 0 {
            return Err(refused("its trace id is all zeros"));
        }
        if parent_id == 0 {
            return Err(refused("its parent id is all zeros"));
        }
        // Of a later version only the flag that version 00 knows can be understood.
        let flags = if version == 0 { flags } else { flags & 1 };
        Ok(Self {
            trace_id,
            parent_id: u64::try_from(parent_id).unwrap_or(u64::MAX),
            flags: u8::try_from(flags).unwrap_or(u8::MAX),
            state: String::new(),
        })
    }

    /// The same with a `tracestate`, which replaces the one that was there. Empty members and white
    /// space around members are left out.
    ///
    /// # Errors
    ///
    /// When it is not one: more than 32 members, a key twice, or characters that a key or value may
    /// not have.
    pub fn with_state(mut self, tracestate: &str) -> Result<Self, TraceError> {
        let mut keys = BTreeSet::new();
        let mut members = Vec::new();
        for member in tracestate.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let refused = |problem| TraceError::State {
                member: shown(member),
                problem,
            };
            let (key, value) = member
                .split_once('=')
                .ok_or_else(|| refused("a member is key=value"))?;
            if !is_key(key) {
                return Err(refused(
                    "a key begins with a-z (or, as tenant@system, with a digit) and has up to 256 of a-z 0-9 _ - * /",
                ));
            }
            if !is_value(value) {
                return Err(refused(
                    "a value has 1 to 256 printable ASCII characters without comma and equals sign",
                ));
            }
            if !keys.insert(key) {
                return Err(refused("its key is there twice"));
            }
            if members.len() == MEMBERS_MAX {
                return Err(refused("it is the 33rd member, 32 are allowed"));
            }
            members.push(member);
        }
        self.state = members.join(",");
        Ok(self)
    }

    /// The trace.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span that caused this.
    pub fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// The trace flags; bit 0 is "sampled".
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether its caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The `tracestate`; empty when there is none.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// How it is stored, without the state: trace id, parent id, flags.
    pub(super) fn to_stored(&self) -> [u8; STORED_LEN] {
        let mut stored = [0; STORED_LEN];
        let parts = self
            .trace_id
            .to_be_bytes()
            .into_iter()
            .chain(self.parent_id.to_be_bytes())
            .chain([self.flags]);
        for (place, byte) in stored.iter_mut().zip(parts) {
            *place = byte;
        }
        stored
    }

    /// Reads what is stored, as it is: a program that follows a later rule may have written it, and
    /// an entity must not become unreadable by that.
    pub(super) fn of_stored(stored: &[u8], state: String) -> Option<Self> {
        let (trace_id, rest) = stored.split_first_chunk::<16>()?;
        let (parent_id, rest) = rest.split_first_chunk::<8>()?;
        let [flags] = rest else {
            return None;
        };
        Some(Self {
            trace_id: u128::from_be_bytes(*trace_id),
            parent_id: u64::from_be_bytes(*parent_id),
            flags: *flags,
            state,
        })
    }
}

/// The `traceparent`, of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, parent, flags) = (self.trace_id, self.parent_id, self.flags);
        write!(f, "00-{trace:032x}-{parent:016x}-{flags:02x}")
    }
}

/// Lower-case hexadecimal digits as a number.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn is_key(key: &str) -> bool {
    let rest = |text: &str, max: usize| {
        text.len() <= max
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    let letter = |text: &str| text.starts_with(|c: char| c.is_ascii_lowercase());
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    match key.split_once('@') {
        None => letter(key) && rest(key, 256),
        Some((tenant, system)) => {
            (letter(tenant) || digit(tenant))
                && rest(tenant, 241)
                && letter(system)
                && rest(system, 14)
        }
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value
            .bytes()
            .all(|b| matches!(b, b' '..=b'~') && b != b',' && b != b'=')
}

/// The beginning of a text that may be long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.to_string(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::{STORED_LEN, TraceContext, TraceError};
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parent() -> TraceContext {
        TraceContext::parse(PARENT).unwrap()
    }

    #[test]
    fn a_traceparent_is_read_and_written() {
        assert_eq!(
            parent().trace_id(),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        assert_eq!(parent().parent_id(), 0x00f0_67aa_0ba9_02b7);
        assert_eq!(parent().to_string(), PARENT);
        assert!(parent().is_sampled());
        let other = PARENT.replace("-01", "-fe");
        assert!(!TraceContext::parse(&other).unwrap().is_sampled());
        assert_eq!(TraceContext::parse(&other).unwrap().to_string(), other);
    }

    /// The version after 00 may add to it, and is written as 00 with the flag that 00 knows.
    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for later in [
            PARENT.replacen("00", "01", 1),
            format!("{}-what-comes", PARENT.replacen("00", "cc", 1)),
            format!("{}-", PARENT.replacen("00", "fe", 1)),
            format!("{}f", PARENT.replacen("00", "01", 1).trim_end_matches('1'))
                .replace("-0f", "-ff"),
        ] {
            assert_eq!(TraceContext::parse(&later), Ok(parent()), "{later}");
        }
    }

    #[test]
    fn what_is_no_traceparent_is_refused_by_name() {
        let refused = [
            (String::new(), "too short"),
            (PARENT[..54].to_string(), "too short"),
            (format!(" {}", &PARENT[..54]), "hyphens"),
            (PARENT.replace("-01", "_01"), "hyphens"),
            (PARENT.replacen("00", "0x", 1), "version must be"),
            (PARENT.replacen("00", "0A", 1), "version must be"),
            (PARENT.replacen("00", "ff", 1), "version ff"),
            (PARENT.replace("4bf9", "4BF9"), "trace id must be"),
            (PARENT.replace("4bf9", "4bg9"), "trace id must be"),
            (PARENT.replace("00f0", "00F0"), "parent id must be"),
            (PARENT.replace("-01", "-0G"), "flags must be"),
            (format!("{PARENT}-more"), "ends after 55"),
            (format!("{PARENT} "), "ends after 55"),
            (
                format!("{}.more", PARENT.replacen("00", "01", 1)),
                "a hyphen must come",
            ),
            (
                format!("00-{:032}-00f067aa0ba902b7-01", 0),
                "trace id is all zeros",
            ),
            (
                format!("00-{:032}-{:016}-01", 1, 0),
                "parent id is all zeros",
            ),
            (
                format!("00-{}-00f067aa0ba902b7-01", "é".repeat(16)),
                "trace id must be",
            ),
        ];
        for (text, problem) in refused {
            let error = TraceContext::parse(&text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_tracestate_is_a_list_of_members() {
        let state = |text: &str| parent().with_state(text).map(|trace| trace.state);
        assert_eq!(state("a=1"), Ok("a=1".into()));
        assert_eq!(
            state(" a=1 ,\t,, b_-*/9= x y~ "),
            Ok("a=1,b_-*/9= x y~".into())
        );
        assert_eq!(state("9tenant@system=!"), Ok("9tenant@system=!".into()));
        assert_eq!(state(""), Ok(String::new()));
        let long = format!("{}={}", "k".repeat(256), "v".repeat(256));
        assert_eq!(state(&long), Ok(long));
        let many: Vec<String> = (0..32).map(|n| format!("k{n}=v")).collect();
        assert_eq!(state(&many.join(",")), Ok(many.join(",")));
    }

    #[test]
    fn what_is_stored_is_read_whatever_the_rule_says_of_it() {
        let later = "9key=of a later rule";
        assert!(parent().with_state(later).is_err());
        let stored = parent().to_stored();
        let read = TraceContext::of_stored(&stored, later.into()).unwrap();
        assert_eq!((read.to_stored(), read.state()), (stored, later));
        assert_eq!(
            TraceContext::of_stored(&[7; STORED_LEN - 1], String::new()),
            None
        );
        assert_eq!(
            TraceContext::of_stored(&[7; STORED_LEN + 1], String::new()),
            None
        );
    }

    #[test]
    fn what_is_no_tracestate_is_refused_by_name() {
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        let refused = [
            ("a".into(), "key=value"),
            ("A=1".into(), "a key begins"),
            ("9a=1".into(), "a key begins"),
            ("a b=1".into(), "a key begins"),
            ("=1".into(), "a key begins"),
            ("a@9=1".into(), "a key begins"),
            ("a@b@c=1".into(), "a key begins"),
            (format!("a@{}=1", "b".repeat(15)), "a key begins"),
            (format!("{}@b=1", "a".repeat(242)), "a key begins"),
            (format!("{}=1", "k".repeat(257)), "a key begins"),
            ("a=".into(), "a value has"),
            ("a=b=c".into(), "a value has"),
            ("a=é".into(), "a value has"),
            ("a=\n".into(), "a value has"),
            (format!("a={}", "v".repeat(257)), "a value has"),
            ("a=1,b=2,a=3".into(), "twice"),
            (many.join(","), "33rd"),
        ];
        for (text, problem) in refused {
            let error = parent().with_state(&text).unwrap_err();
            assert!(matches!(error, TraceError::State { .. }), "{error:?}");
            assert!(error.to_string().contains(problem), "{text:?}: {error}");
        }
    }
}
