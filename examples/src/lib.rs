//! What the examples share: the bank account of `accounting`, the counter of the load tests, and how
//! the bare client is used beside Tenure.

pub mod account;
pub mod bare;
pub mod counter;

/// Why a load test ends early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
