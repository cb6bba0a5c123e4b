//! How long callers may wait after a fault, by fault and class; a run that keeps them waiting longer
//! has failed.

use crate::history::Class;
use crate::schedule::Fault;
use clap::Args;
use tenure::Terms;

/// What the 99th of a hundred shards may take at most, where one fault was alone.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Bounds {
    /// Stored counters after a kill, in ms: by a hint, with the server in health
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    pub(crate) kill_p99_ms: u64,
    /// All else that ends a lease or the server, in ms beyond a lease's time to live: the margin of
    /// the lease, how often others look, and the claims
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    pub(crate) beyond_lease_p99_ms: u64,
    /// A planned hand-over, in ms
    #[arg(long, default_value_t = 50, value_name = "MS")]
    pub(crate) hand_over_p99_ms: u64,
    /// Times beyond these bounds are told, and fail nothing: for a build or a machine that is no
    /// measure of speed. What callers were told is judged all the same
    #[arg(long)]
    pub(crate) report_only: bool,
}

impl Bounds {
    /// In milliseconds.
    pub(crate) fn p99_ms(&self, fault: Fault, class: Class) -> u64 {
        match (fault, class) {
            (Fault::Kill, Class::Fenced) => self.kill_p99_ms,
            (Fault::Drain | Fault::Join, _) => self.hand_over_p99_ms,
            (Fault::Kill, Class::Leased) | (Fault::Stop | Fault::Nats, _) => {
                lease_ms() + self.beyond_lease_p99_ms
            }
        }
    }
}

/// The nodes' leases: they set no terms, and their server is a single one.
fn lease_ms() -> u64 {
    Terms::single().ttl.as_nanos() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::Bounds;
    use crate::history::Class;
    use crate::schedule::Fault;

    #[test]
    fn only_what_needs_the_lease_may_take_as_long() {
        let bounds = Bounds {
            kill_p99_ms: 1,
            beyond_lease_p99_ms: 20,
            hand_over_p99_ms: 3,
            report_only: false,
        };
        let of = |fault| Class::ALL.map(|class| bounds.p99_ms(fault, class));
        assert_eq!(of(Fault::Kill), [1, 3_020]);
        assert_eq!(of(Fault::Stop), [3_020, 3_020]);
        assert_eq!(of(Fault::Nats), [3_020, 3_020]);
        assert_eq!(of(Fault::Drain), [3, 3]);
        assert_eq!(of(Fault::Join), [3, 3]);
    }
}
