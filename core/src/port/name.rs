//! Names of subjects, streams and consumers as requests carry them: shared, because each request of an entity
//! has the same ones.

use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// A literal NATS subject, or a filter where a request says so. A clone shares the text.
///
/// ```
/// use tenure_core::port::Subject;
///
/// let subject = Subject::from("bank.ev.17.account.alice");
/// assert_eq!(subject.clone(), "bank.ev.17.account.alice");
/// assert!(subject.starts_with("bank."));
/// ```
#[derive(Clone, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Subject(Arc<str>);

/// The name of a stream. A clone shares the text.
///
/// ```
/// use tenure_core::port::StreamName;
///
/// let stream = StreamName::from("bank_ev_0");
/// assert_eq!(stream.as_str(), "bank_ev_0");
/// ```
#[derive(Clone, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamName(Arc<str>);

/// The name of a consumer of a stream. A clone shares the text.
///
/// ```
/// use tenure_core::port::ConsumerName;
///
/// let consumer = ConsumerName::from("balances-7f3a");
/// assert_eq!(consumer.as_str(), "balances-7f3a");
/// ```
#[derive(Clone, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ConsumerName(Arc<str>);

macro_rules! shared_text {
    ($($name:ident),*) => { $(
        impl $name {
            /// The text.
            #[inline]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        // As the text; what is shared needs no look at it.
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || *self.0 == *other.0
            }
        }
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }
        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) {
                    Ordering::Equal
                } else {
                    self.0.cmp(&other.0)
                }
            }
        }
        impl Deref for $name {
            type Target = str;
            #[inline]
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            #[inline]
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $name {
            #[inline]
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.as_str().into())
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                Self::from(name.as_str())
            }
        }
        impl PartialEq<str> for $name {
            #[inline]
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }
        impl PartialEq<&str> for $name {
            #[inline]
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }
        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                *self.0 == **other
            }
        }
        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                **self == *other.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        // As the text itself: what is recorded and shown does not tell the types apart.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )* };
}
shared_text!(Subject, StreamName, ConsumerName);
