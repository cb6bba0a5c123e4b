//! Effects outside, and sagas over several entities.

mod away;
mod bad_input;
pub(crate) mod calls;
mod failed;
mod policies;
mod sagas;

use std::time::Duration;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(60);

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let so = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, so).await;
    assert!(waited.is_ok(), "{what} does not come");
}
