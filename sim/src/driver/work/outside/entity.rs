//! Shops, whose sales are billed outside: a bill is an effect, and that it is paid is told the shop by who
//! carried it out.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure_core::api::{
    Aggregate, CodecError, Decide, DecideCx, Decision, Entity, KindSettings, Messages, Never,
    SnapshotPolicy,
};
use tenure_core::format::Codec;

/// What happens to a shop.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(crate = "tenure_core::api")]
pub(super) enum ShopEvent {
    #[event(name = "sold", version = 1)]
    Sold { sale: u64 },
    /// The outside took a bill.
    #[event(name = "paid", version = 1)]
    Paid { bill: Bill },
}

/// What is to be billed outside; no two decisions want the same.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    tenure_macros::Message,
)]
#[message(name = "bill", version = 1, crate = "tenure_core::api")]
pub(super) struct Bill {
    pub(super) sale: u64,
    pub(super) part: u32,
}

/// Sells something, which is billed in so many parts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "sell", version = 1, crate = "tenure_core::api")]
pub(super) struct Sell {
    pub(super) sale: u64,
    pub(super) parts: u32,
    pub(super) how: How,
}

/// How something is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// By an event, with the bills in its commit.
    Now,
    /// By a commit without events.
    Quietly,
    /// By a reminder of the shop.
    Later { after_ms: u64 },
}

/// Tells the shop that a bill is paid.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "pay", version = 1, crate = "tenure_core::api")]
pub(super) struct Pay {
    pub(super) bill: Bill,
}

/// A shop; it takes what it is told without looking whether it was told before.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shop {
    sold: u64,
    paid: u64,
}

impl Aggregate for Shop {
    type Event = ShopEvent;
    const KIND: &'static str = "shop";

    fn evolve(&mut self, event: &ShopEvent) {
        match event {
            ShopEvent::Sold { .. } => self.sold += 1,
            ShopEvent::Paid { .. } => self.paid += 1,
        }
    }

    fn settings() -> KindSettings {
        let snapshots = SnapshotPolicy::every(7);
        KindSettings::default().owned().snapshots(snapshots)
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<bytes::Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

impl Decide<Sell> for Shop {
    type Reply = ();
    type Error = Never;

    fn decide(&self, sell: &Sell, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let Sell { sale, parts, how } = *sell;
        let decision = match how {
            How::Now => Decision::event(ShopEvent::Sold { sale }),
            How::Quietly => Decision::nothing(()),
            How::Later { after_ms } => {
                let after = Duration::from_millis(after_ms);
                let now = Sell {
                    how: How::Now,
                    ..*sell
                };
                return Ok(Decision::nothing(()).remind(format!("sell-{sale}"), after, now));
            }
        };
        let bills = (0..parts).map(|part| Bill { sale, part });
        Ok(bills.fold(decision, Decision::effect))
    }
}

impl Decide<Pay> for Shop {
    type Reply = ();
    type Error = Never;

    fn decide(&self, pay: &Pay, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(ShopEvent::Paid { bill: pay.bill }))
    }
}

impl Entity for Shop {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Sell>().command::<Pay>()
    }
}
