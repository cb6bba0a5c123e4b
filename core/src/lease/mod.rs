//! The algebra of one lease (S16): how long its holder may act, and when it is over for others.
//!
//! Two clocks that run at rates that differ by at most ρ see one lease: the holder counts from when
//! it *sent* its last acknowledged heartbeat, the others from when they *received* the revision that
//! has not changed since. The holder's end comes before theirs, whatever the delays.
//!
//! - T1: what a [`Holder`] counts ends at `ttl × (1 − ρ) − margin` on its own clock after the sending
//!   of its last acknowledged heartbeat: at most `ttl` of real time later.
//! - T2: a [`Watch`] is over at `ttl × (1 + ρ) + margin` on the watcher's clock after the revision
//!   was received: at least `ttl` of real time later, and it was received after it was sent.
//! - T3: an unknown or refused heartbeat extends nothing, and neither does one that was sent before
//!   the lease was ended for another reason.
//! - T4: a gap in the holder's time ends the lease before anything else happens in that step.
//!
//! Of T1 and T2 it follows that the holder stopped before anyone may take its place.

mod holder;
mod terms;
mod watch;

pub use holder::{Entry, Holder};
pub use terms::{Terms, TermsError};
pub use watch::Watch;
