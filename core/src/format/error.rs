//! Why stored or received bytes cannot be read.

use alloc::string::String;

/// Bytes or a subject that this program cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FormatError {
    /// They were written by a program that is newer (or were never ours).
    #[error("the {format} has format version {found}, this program reads {supported}: upgrade it")]
    Version {
        /// Which format.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        format: crate::step::ProgramText,
        /// The version in the bytes.
        found: u64,
        /// The version that this program reads.
        supported: u64,
    },
    /// A field cannot be read.
    #[error("the {format} is damaged at its {field} (byte {at}): {problem}")]
    Damaged {
        /// Which format.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        format: crate::step::ProgramText,
        /// Which field.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        field: crate::step::ProgramText,
        /// The position in the bytes, near the damage.
        at: usize,
        /// What is wrong.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        problem: crate::step::ProgramText,
    },
    /// A field that each value of the format has is not there.
    #[error("the {format} is damaged: it has no {field}")]
    Missing {
        /// Which format.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        format: crate::step::ProgramText,
        /// Which field.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        field: crate::step::ProgramText,
    },
    /// The fields can be read but contradict each other.
    #[error("the {format} contradicts itself: {problem}")]
    Contradiction {
        /// Which format.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        format: crate::step::ProgramText,
        /// What does not fit.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        problem: crate::step::ProgramText,
    },
    /// A subject is not one that Tenure writes.
    #[error("the subject {subject:?} is none of Tenure's: {problem}")]
    Subject {
        /// The subject, or its token.
        subject: String,
        /// What is wrong.
        #[cfg_attr(
            feature = "driver",
            serde(deserialize_with = "crate::driver::known_text")
        )]
        problem: crate::step::ProgramText,
    },
}
