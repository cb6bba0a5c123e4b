//! Repros of the simulator: never a panic, and what is read is written back and read again.

use tenure_sim::Repro;

/// Reads what the bytes say.
///
/// # Panics
///
/// When what is read is not what is written.
pub(crate) fn play(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(repro) = Repro::from_text(text) {
        assert_eq!(Repro::from_text(&repro.to_text()), Ok(repro));
    }
}
