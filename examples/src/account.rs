//! A bank account: its state, what can happen to it, and what each command comes to.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::{
    Aggregate, Answer, AnswerCx, Decide, DecideCx, Decision, Entity, Event, Fields, KindSettings,
    Message, Messages, Upcasters,
};

/// The state of an account, built from its events alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// `None` until it is opened.
    balance: Option<u64>,
}

/// What can happen to an account. Names and versions are stored; the Rust names are free to change.
#[derive(Clone, Debug, PartialEq, Eq, Event)]
#[event(schemas)]
pub enum AccountEvent {
    /// It was opened with this balance.
    #[event(name = "opened", version = 2)]
    Opened {
        /// What is in it from the start.
        balance: u64,
    },
    /// Money came in.
    #[event(name = "deposited", version = 1)]
    Deposited {
        /// How much.
        amount: u64,
    },
    /// Money went out.
    #[event(name = "withdrawn", version = 1)]
    Withdrawn {
        /// How much.
        amount: u64,
    },
}

use AccountEvent::{Deposited, Opened, Withdrawn};

/// Opens an account.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "open", version = 1)]
pub struct Open {
    /// What is in it from the start.
    pub balance: u64,
}

/// Puts money into an account.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "deposit", version = 1)]
pub struct Deposit {
    /// How much.
    pub amount: u64,
}

/// Takes money out of an account.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "withdraw", version = 1)]
pub struct Withdraw {
    /// How much.
    pub amount: u64,
}

/// Moves money from an account into another one: it goes out at once, and comes in by a message that is
/// stored with that and delivered through whatever fails.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "transfer", version = 1)]
pub struct Transfer {
    /// Whose account it goes to; it is to be open.
    pub to: String,
    /// How much.
    pub amount: u64,
}

/// Promises a transfer: the account reminds itself of it, whoever owns it by then.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "promise", version = 1)]
pub struct Promise {
    /// What is to be transferred.
    pub transfer: Transfer,
    /// When, from now, in milliseconds.
    pub after_ms: u64,
}

/// Asks what is in an account.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "balance", version = 1)]
pub struct Balance;

/// Why an account says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AccountError {
    /// It cannot be opened twice.
    #[error("the account is open already")]
    AlreadyOpen,
    /// It has to be opened first.
    #[error("the account is not open; open it first")]
    NotOpen,
    /// It never goes below zero.
    #[error("insufficient funds: {amount} were asked for, {balance} are there")]
    InsufficientFunds {
        /// What is in it.
        balance: u64,
        /// What was asked for.
        amount: u64,
    },
    /// Nothing is no amount.
    #[error("an amount is at least 1")]
    NoAmount,
    /// It has an upper limit, too.
    #[error("{amount} more is too much for one account")]
    TooMuch {
        /// What was to come in.
        amount: u64,
    },
}

impl Account {
    /// What is in it.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotOpen`] until it is opened.
    pub fn balance(&self) -> Result<u64, AccountError> {
        self.balance.ok_or(AccountError::NotOpen)
    }
}

/// The fields of `moved` version 1.
#[derive(Deserialize)]
struct MovedV1 {
    /// By how much; below zero when it went out.
    by: i64,
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const KIND: &'static str = "account";

    /// Each account is written by the node that owns its shard.
    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }

    /// How what the first build stored is read. Its openings called the balance `amount`, and it had
    /// one event, `moved`, for money that came in and money that went out.
    fn upcasters() -> Upcasters {
        Upcasters::none()
            .step(("opened", 1), ("opened", 2), |mut old: Fields| {
                old.rename("amount", "balance");
                old
            })
            .split(
                ("moved", 1),
                [("deposited", 1), ("withdrawn", 1)],
                |old: MovedV1, parts| {
                    let amount = old.by.unsigned_abs();
                    match old.by {
                        0 => {}
                        1.. => parts.event(&Deposited { amount }),
                        ..0 => parts.event(&Withdrawn { amount }),
                    }
                },
            )
    }

    fn evolve(&mut self, event: &AccountEvent) {
        self.balance = match event {
            Opened { balance } => Some(*balance),
            Deposited { amount } => self.balance.map(|balance| balance + amount),
            Withdrawn { amount } => self.balance.map(|balance| balance - amount),
        };
    }
}

impl Decide<Open> for Account {
    type Reply = u64;
    type Error = AccountError;

    fn decide(&self, open: &Open, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, AccountError> {
        let balance = open.balance;
        match self.balance {
            None => Ok(Decision::event(Opened { balance }).reply(balance)),
            Some(_) => Err(AccountError::AlreadyOpen),
        }
    }
}

impl Decide<Deposit> for Account {
    type Reply = u64;
    type Error = AccountError;

    fn decide(
        &self,
        deposit: &Deposit,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, AccountError> {
        let amount = moved(deposit.amount)?;
        let balance = self.balance()?.checked_add(amount);
        let balance = balance.ok_or(AccountError::TooMuch { amount })?;
        Ok(Decision::event(Deposited { amount }).reply(balance))
    }
}

impl Decide<Withdraw> for Account {
    type Reply = u64;
    type Error = AccountError;

    fn decide(
        &self,
        withdraw: &Withdraw,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, AccountError> {
        let (balance, amount) = (self.balance()?, moved(withdraw.amount)?);
        match balance.checked_sub(amount) {
            Some(rest) => Ok(Decision::event(Withdrawn { amount }).reply(rest)),
            None => Err(AccountError::InsufficientFunds { balance, amount }),
        }
    }
}

impl Decide<Transfer> for Account {
    type Reply = u64;
    type Error = AccountError;

    fn decide(
        &self,
        transfer: &Transfer,
        cx: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, AccountError> {
        let amount = transfer.amount;
        let withdrawn = self.decide(&Withdraw { amount }, cx)?;
        Ok(withdrawn.send::<Self>(&transfer.to, Deposit { amount }))
    }
}

impl Decide<Promise> for Account {
    type Reply = u64;
    type Error = AccountError;

    fn decide(
        &self,
        promise: &Promise,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, AccountError> {
        let Promise { transfer, after_ms } = promise;
        moved(transfer.amount)?;
        let after = Duration::from_millis(*after_ms);
        let to = format!("to {}", transfer.to);
        Ok(Decision::nothing(self.balance()?).remind(to, after, transfer.clone()))
    }
}

/// What is moved, if it is something.
fn moved(amount: u64) -> Result<u64, AccountError> {
    match amount {
        0 => Err(AccountError::NoAmount),
        amount => Ok(amount),
    }
}

impl Answer<Balance> for Account {
    type Reply = Result<u64, AccountError>;

    fn answer(&self, _: &Balance, _: &AnswerCx<'_>) -> Self::Reply {
        self.balance()
    }
}

/// What an account is asked from any node of the cluster.
impl Entity for Account {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Open>().command::<Deposit>();
        let commands = commands.command::<Withdraw>().command::<Transfer>();
        commands.command::<Promise>().query::<Balance>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenure::kit::{given, golden, still_folds};

    #[test]
    fn what_was_ever_stored_is_read_as_it_was() {
        golden::<Account>("tests/golden/account")
            .event(Opened { balance: 100 })
            .event(Deposited { amount: 50 })
            .event(Withdrawn { amount: 30 })
            .check();
    }

    #[test]
    fn the_streams_of_last_month_lead_to_the_same_balances() {
        still_folds("tests/recorded/account.jsonl", |account: &Account| {
            account.balance().ok()
        });
    }

    #[test]
    fn an_account_is_opened_once() {
        given::<Account>([])
            .when(Open { balance: 100 })
            .then([Opened { balance: 100 }])
            .replies(100);
        given::<Account>([Opened { balance: 100 }])
            .when(Open { balance: 5 })
            .rejects(AccountError::AlreadyOpen);
    }

    #[test]
    fn money_comes_in() {
        given::<Account>([Opened { balance: 100 }])
            .when(Deposit { amount: 50 })
            .then([Deposited { amount: 50 }])
            .replies(150);
    }

    #[test]
    fn money_goes_out_as_long_as_there_is_some() {
        let account = given::<Account>([Opened { balance: 100 }, Withdrawn { amount: 30 }]);
        account
            .clone()
            .when(Withdraw { amount: 70 })
            .then([Withdrawn { amount: 70 }])
            .replies(0);
        account
            .when(Withdraw { amount: 71 })
            .rejects(AccountError::InsufficientFunds {
                balance: 70,
                amount: 71,
            });
    }

    #[test]
    fn a_transfer_goes_out_and_sends_what_comes_in() {
        let (to, amount) = ("bob".to_owned(), 30);
        let account = given::<Account>([Opened { balance: 100 }]);
        let transfer = Transfer { to, amount };
        account
            .clone()
            .when(transfer.clone())
            .then([Withdrawn { amount }])
            .then_sends::<Account>("bob", &Deposit { amount })
            .replies(70);
        let after_ms = 250;
        account
            .clone()
            .when(Promise {
                transfer: transfer.clone(),
                after_ms,
            })
            .then([])
            .then_reminds("to bob", Duration::from_millis(after_ms), &transfer)
            .replies(100);
        let amount = 500;
        let too_much = account.when(Transfer { amount, ..transfer });
        too_much.rejects(AccountError::InsufficientFunds {
            balance: 100,
            amount,
        });
    }

    #[test]
    fn nothing_happens_to_an_account_that_is_not_open() {
        given::<Account>([])
            .when(Deposit { amount: 50 })
            .rejects(AccountError::NotOpen);
        given::<Account>([])
            .when(Withdraw { amount: 30 })
            .rejects(AccountError::NotOpen);
    }

    #[test]
    fn nothing_is_no_amount() {
        let account = given::<Account>([Opened { balance: 100 }]);
        let zero = account.clone().when(Deposit { amount: 0 });
        zero.rejects(AccountError::NoAmount);
        let zero = account.when(Withdraw { amount: 0 });
        zero.rejects(AccountError::NoAmount);
    }

    #[test]
    fn a_balance_does_not_overflow() {
        given::<Account>([Opened { balance: u64::MAX }])
            .when(Deposit { amount: 1 })
            .rejects(AccountError::TooMuch { amount: 1 });
    }
}
