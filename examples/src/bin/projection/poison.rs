//! An event that fails again and again: what memory that costs.

use crate::sums::Sums;
use tenure::consumer::{Consumed, Policy, Then};
use tenure::projection::Memory as Kept;
use tenure::{Span, Tenure};
use tenure_examples::Failure;
use tenure_examples::counter::{Counter, CounterEvent};
use tenure_examples::load::Memory;

/// What this process used, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat {
    /// After the first tenth of the tries.
    pub(crate) before: Option<u64>,
    /// After all of them.
    pub(crate) after: Option<u64>,
}

/// Tries the first event so often, with a fold that changes the state and then fails.
pub(crate) async fn measure(tenure: &Tenure, tries: u32) -> Result<Flat, Failure> {
    let poisoned = tenure
        .projection("poisoned", Kept::<Sums>::default())
        .failing(Policy {
            retries_max: tries.saturating_add(1),
            delay_min: Span::from_micros(100),
            delay_max: Span::from_micros(100),
            then: Then::Stop,
        })
        .fold::<Counter>(|sums: &mut Sums, event: &Consumed<CounterEvent>| {
            sums.0.insert(event.id().as_str().to_owned(), (1, 1));
            Err::<(), _>("it fails each time")
        })
        .start()
        .await?;
    let tried = |tries: u32| {
        let poisoned = &poisoned;
        async move {
            let enough = |status: &tenure::consumer::Status| status.failures >= u64::from(tries);
            poisoned
                .until_status(enough)
                .await
                .map(|()| Memory::read().now)
        }
    };
    let before = tried(tries / 10).await?;
    let after = tried(tries).await?;
    if !poisoned.read(|sums| sums.0.is_empty()) {
        return Err("an event is in the state that was never folded".into());
    }
    poisoned.stop().await?;
    Ok(Flat { before, after })
}
