//! The host of user state: bank accounts, decided and folded deterministically.

use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::format::{Codec, Commit, EventRecord, Intent, Later, MessageRecord, Timer};
use tenure_core::id::{Slot, Ticket, Version, WallTime};
use tenure_core::log::{
    Base, Decided, Expected, Firing, FoldError, NewEvent, Provisional, Ran, Reply, StoredCommit,
    Verdict, Work,
};
use tenure_core::name::{EntityId, KindName, TimerName};

/// What a caller orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Always fine.
    Deposit(i64),
    /// Rejected when the balance is too low.
    Withdraw(i64),
    /// No event; stored all the same when it is to be recorded.
    Greet { record: bool },
    /// Deposits of 1 at explicit versions.
    Import(Vec<Version>),
    /// One event of so many bytes.
    Letter(usize),
    /// Deletes the account, with a last event.
    Close,
    /// The user's code panics.
    Explode,
    /// An event that no other build knows.
    Novelty,
    /// Timers and messages, and no event.
    Later(Box<Later>),
    /// A question to the state.
    Ask,
}

impl Order {
    /// A timer that orders something of its own entity.
    pub(crate) fn arm(
        name: &str,
        due: WallTime,
        period_ms: u64,
        verb: &str,
        amount: &str,
    ) -> Result<Self, String> {
        let name = TimerName::new(name).map_err(|error| error.to_string())?;
        let message = message(verb, amount);
        let armed = vec![Timer {
            name,
            due,
            period_ms,
            message,
        }];
        Ok(Self::Later(Box::new(Later {
            armed,
            ..Later::default()
        })))
    }

    pub(crate) fn cancel(name: &str) -> Result<Self, String> {
        let name = TimerName::new(name).map_err(|error| error.to_string())?;
        Ok(Self::Later(Box::new(Later {
            cancelled: vec![name],
            ..Later::default()
        })))
    }

    /// A message to an account, or with `kind/id` to an entity of another kind.
    pub(crate) fn send(whom: &str, verb: &str, amount: &str) -> Result<Self, String> {
        let (kind, entity) = whom.split_once('/').unwrap_or(("account", whom));
        let sends = vec![Intent {
            kind: KindName::new(kind).map_err(|error| error.to_string())?,
            entity: EntityId::new(entity).map_err(|error| error.to_string())?,
            codec: Codec::Cbor,
            message: message(verb, amount),
            metadata: None,
        }];
        Ok(Self::Later(Box::new(Later {
            sends,
            ..Later::default()
        })))
    }

    /// What a timer or a message orders, if this build knows it.
    pub(crate) fn of_message(message: &MessageRecord) -> Option<Self> {
        let amount = std::str::from_utf8(&message.data).ok()?.parse().ok()?;
        match &*message.name {
            "deposit" => Some(Self::Deposit(amount)),
            "withdraw" => Some(Self::Withdraw(amount)),
            "close" => Some(Self::Close),
            _ => None,
        }
    }
}

fn message(verb: &str, amount: &str) -> MessageRecord {
    MessageRecord {
        name: verb.to_owned().into(),
        schema: 1,
        data: Bytes::from(amount.to_owned()),
    }
}

/// One account in memory.
#[derive(Clone, Debug, Default)]
struct Account {
    name: String,
    committed: State,
    provisional: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    balance: i64,
    version: Version,
    /// The account is absent, and its versions go on.
    closed: bool,
}

/// Everything that one node's host holds.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    accounts: BTreeMap<Slot, Account>,
    orders: BTreeMap<Ticket, Order>,
    answers: BTreeMap<Ticket, String>,
}

impl Bank {
    /// A caller's order, for when the machine asks for its decision.
    pub(crate) fn take(&mut self, ticket: Ticket, order: Order) {
        self.orders.insert(ticket, order);
    }

    /// What the caller is told in the domain's words, where the domain has some.
    pub(crate) fn answer(&mut self, ticket: Ticket, reply: &Reply) -> Option<String> {
        self.orders.remove(&ticket);
        let said = self.answers.remove(&ticket);
        match reply {
            Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Read { .. } => {
                Some(said.expect("an answer of the domain's"))
            }
            Reply::Found { outcome, .. } => Some(String::from_utf8_lossy(outcome).into_owned()),
            Reply::Refused(_) => None,
        }
    }

    pub(crate) fn forget(&mut self, slot: Slot) -> String {
        let account = self.accounts.remove(&slot);
        format!("forget {}", account.map(|a| a.name).unwrap_or_default())
    }

    /// Does a work; what came of it, and a line about it.
    pub(crate) fn run(&mut self, work: &Work) -> (Ran, String) {
        match work {
            Work::Fold {
                slot,
                entity,
                base,
                commits,
                ..
            } => self.fold(*slot, entity.as_str(), base, commits),
            Work::Decide {
                slot,
                provisional,
                version,
                commands,
            } => self.decide(*slot, *provisional, *version, commands),
            Work::Fire {
                slot,
                provisional,
                version,
                firing,
            } => self.fire(*slot, *provisional, *version, firing),
            Work::Answer {
                slot,
                provisional,
                version,
                tickets,
            } => {
                let account = self.settled(*slot, *provisional);
                assert_eq!(account.committed.shown(), *version, "the version answered");
                let said = format!("balance {}", account.committed.balance);
                let line = format!("answer {}: {said}", join(tickets));
                for ticket in tickets {
                    self.answers.insert(*ticket, said.clone());
                }
                (Ran::Answered, line)
            }
            Work::Snapshot { slot, provisional } => {
                let account = self.settled(*slot, *provisional);
                let line = format!("encode {} at {}", account.name, account.committed.said());
                let bytes = account.committed.balance.to_string();
                (Ran::Snapshotted(Ok(bytes.into())), line)
            }
        }
    }

    /// An account, after what was decided last was kept or dropped.
    fn settled(&mut self, slot: Slot, provisional: Provisional) -> &mut Account {
        let account = self.account(slot);
        match provisional {
            Provisional::Committed => account.committed = account.provisional,
            Provisional::Dropped => account.provisional = account.committed,
        }
        account
    }

    fn account(&mut self, slot: Slot) -> &mut Account {
        let account = self.accounts.get_mut(&slot);
        account.expect("a slot that was folded and not forgotten")
    }

    fn fold(
        &mut self,
        slot: Slot,
        name: &str,
        base: &Base,
        commits: &[StoredCommit],
    ) -> (Ran, String) {
        let (start, from) = match base {
            Base::Nothing => (Ok(State::default()), "nothing"),
            Base::Snapshot(snapshot) => {
                let text = std::str::from_utf8(&snapshot.state);
                let balance = text.ok().and_then(|text| text.parse().ok());
                let version = snapshot.version;
                let state = balance.map(|balance| State {
                    balance,
                    version,
                    closed: false,
                });
                let cause = "it is no balance".to_owned();
                (state.ok_or(FoldError::Snapshot { cause }), "the snapshot")
            }
            Base::Held(provisional) => {
                let account = self.settled(slot, *provisional);
                (Ok(account.committed), "what is held")
            }
        };
        let folded = start.and_then(|state| {
            let events = commits.iter().map(|stored| &stored.commit);
            events.into_iter().try_fold(state, State::fold)
        });
        let count = commits.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut line = format!("fold {name} from {from} and {count} commit{plural}: ");
        match folded {
            Ok(state) => {
                line += &state.said();
                let account = Account {
                    name: name.to_owned(),
                    committed: state,
                    provisional: state,
                };
                self.accounts.insert(slot, account);
                (Ran::Folded(Ok(())), line)
            }
            Err(error) => {
                self.accounts.remove(&slot);
                line += &error.to_string();
                (Ran::Folded(Err(error)), line)
            }
        }
    }

    fn decide(
        &mut self,
        slot: Slot,
        provisional: Provisional,
        version: Version,
        commands: &[(Ticket, Expected)],
    ) -> (Ran, String) {
        let orders = self.orders.clone();
        let account = self.settled(slot, provisional);
        assert_eq!(account.committed.shown(), version, "the version decided at");
        let mut decided = Vec::new();
        let mut parts = Vec::new();
        let mut answers = Vec::new();
        for (ticket, expected) in commands {
            let order = orders.get(ticket).expect("an order of the caller's");
            let (verdict, said) = account.provisional.decide(order, *expected);
            parts.push(format!("{ticket:?} {said}"));
            answers.push((*ticket, said));
            decided.push(Decided {
                ticket: *ticket,
                verdict,
            });
        }
        let name = &account.name;
        let line = format!("decide {name} at {version:?}: {}", parts.join(", "));
        self.answers.extend(answers);
        (Ran::Decided(decided), line)
    }
}

impl Bank {
    fn fire(
        &mut self,
        slot: Slot,
        provisional: Provisional,
        version: Version,
        firing: &Firing,
    ) -> (Ran, String) {
        let account = self.settled(slot, provisional);
        assert_eq!(account.committed.shown(), version, "the version decided at");
        let Timer { name, message, .. } = &firing.timer;
        let (verdict, said) = match Order::of_message(message) {
            Some(order) => account.provisional.decide(&order, Expected::Any),
            None => {
                let text = format!("no message {:?}", message.name);
                (Verdict::Failed(text.clone()), text)
            }
        };
        let line = format!("fire {name} of {} at {version:?}: {said}", account.name);
        let ticket = firing.ticket;
        (Ran::Decided(vec![Decided { ticket, verdict }]), line)
    }
}

impl State {
    fn said(self) -> String {
        format!("balance {} at {:?}", self.balance, self.shown())
    }

    /// The version as the account's holder sees it.
    fn shown(self) -> Version {
        if self.closed {
            Version::ABSENT
        } else {
            self.version
        }
    }

    fn fold(mut self, commit: &Commit) -> Result<Self, FoldError> {
        for event in &commit.events {
            self.evolve(event)?;
        }
        self.version = commit.last;
        if commit.tombstone {
            self.close();
        }
        Ok(self)
    }

    fn close(&mut self) {
        (self.balance, self.closed) = (0, true);
    }

    fn evolve(&mut self, event: &EventRecord) -> Result<(), FoldError> {
        let name = event.name.clone().into_owned();
        let (schema, version) = (event.schema, event.version);
        let amount = || {
            let text = std::str::from_utf8(&event.data).ok();
            text.and_then(|text| text.parse::<i64>().ok())
        };
        match &*event.name {
            "deposited" | "withdrawn" => {
                let Some(amount) = amount() else {
                    let cause = "it is no amount".to_owned();
                    return Err(FoldError::Undecodable {
                        name,
                        schema,
                        version,
                        cause,
                    });
                };
                self.balance += if name == "deposited" { amount } else { -amount };
            }
            "wrote" | "closed" | "tenure-deleted" => {}
            _ => {
                return Err(FoldError::UnknownEvent {
                    name,
                    schema,
                    version,
                });
            }
        }
        (self.version, self.closed) = (version, false);
        Ok(())
    }

    /// Decides one order and moves on to the state that it leads to.
    fn decide(&mut self, order: &Order, expected: Expected) -> (Verdict, String) {
        let met = match expected {
            Expected::Any => true,
            Expected::Exactly(version) => version == self.shown(),
            Expected::Present => self.shown() != Version::ABSENT,
        };
        if !met {
            let said = format!("conflict at {:?}", self.shown());
            return (Verdict::Conflict(self.shown()), said);
        }
        if let Order::Later(later) = order {
            let verdict = Verdict::Accepted {
                events: Vec::new(),
                outcome: Bytes::from_static(b"arranged"),
                record: false,
                later: Some(later.clone()),
                delete: false,
            };
            return (verdict, "arranged".to_owned());
        }
        let (events, record) = match order {
            Order::Deposit(amount) => (vec![event("deposited", &amount.to_string())], false),
            Order::Withdraw(amount) if *amount > self.balance => {
                let said = format!("rejected (balance {})", self.balance);
                return (Verdict::Rejected, said);
            }
            Order::Withdraw(amount) => (vec![event("withdrawn", &amount.to_string())], false),
            Order::Greet { record } => (Vec::new(), *record),
            Order::Import(versions) => {
                let one = |version: &Version| NewEvent {
                    version: Some(*version),
                    ..event("deposited", "1")
                };
                (versions.iter().map(one).collect(), false)
            }
            Order::Letter(bytes) => (vec![event("wrote", &"x".repeat(*bytes))], false),
            Order::Explode => {
                let text = "decide panicked: boom".to_owned();
                return (Verdict::Failed(text.clone()), text);
            }
            Order::Novelty => (vec![event("novelty", "")], false),
            Order::Close if self.shown() == Version::ABSENT => {
                (vec![event("tenure-deleted", "")], false)
            }
            Order::Close => (vec![event("closed", "")], false),
            Order::Later(_) => unreachable!("decided above"),
            Order::Ask => unreachable!("a question is never decided"),
        };
        for event in &events {
            let version = event.version.unwrap_or(self.version.next());
            let amount = std::str::from_utf8(&event.data).unwrap_or_default();
            match &*event.name {
                "deposited" => self.balance += amount.parse::<i64>().unwrap_or_default(),
                "withdrawn" => self.balance -= amount.parse::<i64>().unwrap_or_default(),
                _ => {}
            }
            (self.version, self.closed) = (version, false);
        }
        let delete = *order == Order::Close && !events.is_empty();
        if delete {
            self.close();
        }
        let outcome = format!("balance {}", self.balance);
        let bare = events.iter().any(|event| event.name == "tenure-deleted");
        let said = match (&order, events.is_empty(), record) {
            (Order::Letter(bytes), ..) => format!("wrote {bytes} bytes"),
            (Order::Close, ..) if bare => "closed, if there is anything".to_owned(),
            (Order::Close, ..) => "closed".to_owned(),
            (_, true, false) => format!("greeted, {outcome}"),
            (_, true, true) => format!("greeted for the record, {outcome}"),
            (_, false, _) => outcome.clone(),
        };
        let outcome = Bytes::from(outcome);
        let verdict = Verdict::Accepted {
            events,
            outcome,
            record,
            later: None,
            delete,
        };
        (verdict, said)
    }
}

fn event(name: &str, data: &str) -> NewEvent {
    NewEvent {
        version: None,
        name: name.to_owned().into(),
        schema: 1,
        data: Bytes::from(data.to_owned()),
    }
}

/// Tickets side by side.
pub(crate) fn join(tickets: &[Ticket]) -> String {
    let tickets: Vec<_> = tickets.iter().map(|ticket| format!("{ticket:?}")).collect();
    tickets.join(" ")
}
