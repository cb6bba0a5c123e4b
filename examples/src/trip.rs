//! Trips that are booked over several entities: a seat, a room, and the money for both. What `booking`
//! and the simulated tests share.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure::model::CommandRef;
use tenure::prelude::*;
use tenure::saga::{Process, ReplyTo, Step};

/// Something of which there are so many: seats, rooms, or the cents of a card.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    left: i64,
    /// What steps of sagas reserved; none for those that were undone, perhaps before they came.
    steps: BTreeMap<String, Option<i64>>,
}

/// What happens to a stock.
#[derive(Clone, Debug, Event)]
pub enum StockEvent {
    /// There is more.
    #[event(name = "filled", version = 1)]
    Filled {
        /// By so many.
        by: i64,
    },
    /// Some are a trip's.
    #[event(name = "reserved", version = 1)]
    Reserved {
        /// The step that they are reserved by.
        step: String,
        /// So many.
        by: i64,
    },
    /// They are no trip's any more, or never will be.
    #[event(name = "released", version = 1)]
    Released {
        /// The step.
        step: String,
    },
}

impl Aggregate for Stock {
    type Event = StockEvent;
    const KIND: &'static str = "stock";

    fn evolve(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Filled { by } => self.left += by,
            StockEvent::Reserved { step, by } => {
                self.left -= by;
                self.steps.insert(step.clone(), Some(*by));
            }
            StockEvent::Released { step } => {
                let reserved = self.steps.insert(step.clone(), None);
                self.left += reserved.flatten().unwrap_or(0);
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

/// Fills a stock.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "fill", version = 1)]
pub struct Fill {
    /// By so many.
    pub by: i64,
}

/// Reserves some, as a step of a saga.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "reserve", version = 1)]
pub struct Reserve {
    /// So many.
    pub by: i64,
    /// Whom to tell.
    pub to: ReplyTo,
}

/// Undoes that, also when it did not come yet.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "release", version = 1)]
pub struct Release {
    /// Whom to tell.
    pub to: ReplyTo,
}

/// Asks how many are left.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "left", version = 1)]
pub struct Left;

/// What is sent when something is reserved, outside.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(name = "notice", version = 1)]
pub struct Notice {
    /// The trip.
    pub booking: String,
}

impl Decide<Fill> for Stock {
    type Reply = ();
    type Error = Never;

    fn decide(&self, fill: &Fill, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::event(StockEvent::Filled { by: fill.by }))
    }
}

impl Decide<Reserve> for Stock {
    type Reply = ();
    type Error = Never;

    fn decide(&self, reserve: &Reserve, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let Reserve { by, to } = reserve;
        let step = to.key();
        // What was undone before it came is not done any more.
        if self.left < *by || self.steps.contains_key(&step) {
            let why = format!("{} are left, {by} are wanted", self.left);
            return Ok(Decision::nothing(()).report(to, Err(why)));
        }
        let booking = to.saga().to_owned();
        let reserved = Decision::event(StockEvent::Reserved { step, by: *by });
        Ok(reserved.effect(Notice { booking }).report(to, Ok(())))
    }
}

impl Decide<Release> for Stock {
    type Reply = ();
    type Error = Never;

    fn decide(&self, release: &Release, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let step = release.to.key();
        let decision = match self.steps.get(&step) {
            Some(None) => Decision::nothing(()),
            Some(Some(_)) | None => Decision::event(StockEvent::Released { step }),
        };
        Ok(decision.report(&release.to, Ok(())))
    }
}

impl Answer<Left> for Stock {
    type Reply = i64;

    fn answer(&self, _: &Left, _: &AnswerCx<'_>) -> i64 {
        self.left
    }
}

impl Entity for Stock {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Fill>().command::<Reserve>();
        commands.command::<Release>().query::<Left>()
    }
}

/// A trip: a seat, a room, and then the money.
#[derive(Debug)]
pub struct Trip;

/// What a trip is booked with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// The stock of money.
    pub card: String,
    /// The price.
    pub cents: i64,
}

impl Process for Trip {
    const KIND: &'static str = "trip";
    type Input = Booking;

    fn steps(_: &str, booking: &Booking) -> Vec<Step> {
        let step = |stock: &str, by| {
            Step::send::<Stock, _>(stock, move |to| Reserve { by, to })
                .undo::<Stock, _>(stock, |to| Release { to })
                .timeout(Duration::from_secs(5))
        };
        let card = step(&booking.card, booking.cents);
        vec![step("seats", 1), step("rooms", 1), card]
    }

    fn issues() -> Vec<CommandRef> {
        let stock = |command| CommandRef::new(Stock::KIND, command);
        vec![stock(Reserve::NAME), stock(Release::NAME)]
    }
}
