//! What the examples share: the bank account of `accounting`, the counter of the load tests, trips, how load
//! is made and measured, how the bare client is used beside Tenure, a slow way to a server, and how
//! they end.

pub mod account;
pub mod bare;
pub mod cli;
pub mod counter;
pub mod counters;
pub mod delay;
pub mod end;
pub mod live;
pub mod load;
pub mod trip;

/// Why a load test ends early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
