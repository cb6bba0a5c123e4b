//! What the shells and the NATS client that run in madsim take from tokio. What of it draws or waits is
//! madsim's.

pub mod net;
pub mod time;

pub use madsim::task::spawn;
pub use real::{fs, io, join, pin, sync};

/// `tokio::select!`; where it draws which branch is polled first, it draws from madsim's seed and not from
/// a counter of the process.
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { $crate::__select!(biased; $($branches)*) };
    ($($branches:tt)*) => {
        $crate::__select!(@{ start={ $crate::__drawn(BRANCHES) }; () } $($branches)*)
    };
}

#[doc(hidden)]
pub use real::select as __select;

/// A number below `count`.
#[doc(hidden)]
pub fn __drawn(count: u32) -> u32 {
    use madsim::rand::Rng as _;
    madsim::rand::thread_rng().gen_range(0..count)
}

/// Tasks of madsim.
pub mod task {
    pub use madsim::task::{AbortHandle, JoinError, JoinHandle, spawn, yield_now};
    pub use real::task::coop;

    /// Does what would block: there is one thread, so it does.
    pub fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn(async move { work() })
    }
}

/// The runtime is madsim's.
pub mod runtime {
    /// Where tasks run.
    #[derive(Clone, Debug)]
    pub struct Handle(());

    impl Handle {
        /// That of the simulation in which this is called.
        ///
        /// # Errors
        ///
        /// When it is called outside of one.
        pub fn try_current() -> Result<Self, madsim::runtime::TryCurrentError> {
            madsim::runtime::Handle::try_current().map(|_| Self(()))
        }

        /// Runs a task on the node of the simulation that calls this.
        pub fn spawn<F>(&self, task: F) -> madsim::task::JoinHandle<F::Output>
        where
            F: Future<Output: Send + 'static> + Send + 'static,
        {
            madsim::task::spawn(task)
        }
    }
}
