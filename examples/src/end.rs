//! When the process is to end.

use std::future::Future;
use std::io;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// Ends when SIGTERM or SIGINT comes, or with standard input if the process is another's. From this call
/// on a signal does not end the process by itself, also before the future is polled.
///
/// # Errors
///
/// When the system gives no signals.
pub fn asked_to(until_input_ends: bool) -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = input_ended(), if until_input_ends => {}
        }
    })
}

async fn input_ended() {
    let (mut input, mut read) = (tokio::io::stdin(), [0; 64]);
    // An input that cannot be read is over, too.
    while input.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
}
