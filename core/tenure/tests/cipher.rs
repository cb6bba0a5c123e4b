//! What is stored goes through a cipher of the user's, and what becomes of it when a key is gone.

use crate::common::{World, idle, on_both_shells};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::consumer::{Cause, Consumed, Policy, Then};
use tenure::prelude::*;
use tenure::projection::Memory;
use tenure::{
    Bytes, Cipher, CipherError, Codec, CodecError, Decrypted, FoldError, Payload, PayloadPart,
    SnapshotPolicy,
};

const SOON: Duration = Duration::from_secs(30);

on_both_shells!(
    what_is_stored_is_not_what_was_said,
    snapshots_and_replies_go_through_it,
    reminders_and_messages_go_through_it,
    a_kind_that_names_it_goes_on_without_what_was_lost,
    a_kind_that_does_not_name_it_is_not_decided_on,
    consumers_are_told_and_go_on,
    a_cipher_that_cannot_say_now_is_asked_again,
    what_is_damaged_goes_by_the_policy,
    a_cipher_that_fails_stores_nothing,
);

/// No secret: it turns bytes over, and knows whom it was told to forget.
#[derive(Clone, Debug, Default)]
struct Turned {
    forgotten: Arc<Mutex<BTreeSet<String>>>,
    parts: Arc<Mutex<BTreeSet<String>>>,
    /// It cannot read anything now, and how often it was asked.
    away: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

impl Turned {
    fn forget(&self, id: &str) {
        self.forgotten.lock().unwrap().insert(id.to_owned());
    }

    fn is_forgotten(&self, id: &str) -> bool {
        self.forgotten.lock().unwrap().contains(id)
    }

    fn turn(&self, of: &Payload<'_>, data: &[u8]) -> Bytes {
        let part = match of.part {
            PayloadPart::Event(name, _) => format!("event {name}"),
            PayloadPart::Message(name, _) => format!("message {name}"),
            PayloadPart::Snapshot => "snapshot".to_owned(),
            PayloadPart::Reply => "reply".to_owned(),
            _ => "another".to_owned(),
        };
        self.parts.lock().unwrap().insert(part);
        let mut turned: Vec<u8> = data.iter().map(|byte| !byte).collect();
        turned.push(7);
        turned.into()
    }
}

impl Cipher for Turned {
    fn encrypt(&self, of: &Payload<'_>, plain: &[u8]) -> Result<Bytes, CipherError> {
        match of.id.as_str() {
            "nobody" => Err(CipherError("no key for nobody".into())),
            id if self.is_forgotten(id) => Err(CipherError(format!("{id} is forgotten"))),
            _ => Ok(self.turn(of, plain)),
        }
    }

    fn decrypt(&self, of: &Payload<'_>, stored: &[u8]) -> Result<Decrypted, CipherError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(CipherError("the keys are away".into()));
        }
        if self.is_forgotten(of.id.as_str()) {
            return Ok(Decrypted::Shredded);
        }
        let Some((7, turned)) = stored.split_last() else {
            return Ok(Decrypted::Damaged("it was not turned".into()));
        };
        let plain = turned.iter().map(|byte| !byte).collect();
        Ok(Decrypted::Plain(plain))
    }
}

/// What is noted of somebody, in a kind that says what is left without a key, and in one that does not.
macro_rules! notes {
    ($kind:ident, $event:ident, $name:literal, $($variant:tt)*) => {
        #[derive(Clone, Debug, PartialEq, Event)]
        enum $event {
            #[event(name = "noted", version = 1)]
            Noted { text: String },
            $($variant)*
        }

        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $kind {
            texts: Vec<String>,
            shredded: u32,
        }

        impl Aggregate for $kind {
            type Event = $event;
            const KIND: &'static str = $name;

            #[allow(irrefutable_let_patterns, reason = "one kind has a variant more")]
            fn evolve(&mut self, event: &$event) {
                if let $event::Noted { text } = event {
                    self.texts.push(text.clone());
                } else {
                    self.shredded += 1;
                }
            }

            fn settings() -> KindSettings {
                KindSettings::default().owned().snapshots(SnapshotPolicy::every(4))
            }

            fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
                Some(codec.encode(self))
            }

            fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
                Some(codec.decode(state))
            }
        }

        impl Decide<Note> for $kind {
            type Reply = usize;
            type Error = Never;

            fn decide(&self, note: &Note, _: &DecideCx<'_>) -> Result<Decision<Self, usize>, Never> {
                let text = note.text.clone();
                let decision = Decision::event($event::Noted { text });
                let decision = decision.reply(self.texts.len() + 1);
                Ok(match &note.then {
                    Some((to, text)) => {
                        let next = Note { text: text.clone(), then: None };
                        let soon = Duration::from_millis(1);
                        decision.send::<Self>(to, next.clone()).remind("again", soon, next)
                    }
                    None => decision,
                })
            }
        }

        impl Answer<Look> for $kind {
            type Reply = $kind;

            fn answer(&self, _: &Look, _: &AnswerCx<'_>) -> $kind {
                self.clone()
            }
        }

        impl Entity for $kind {
            fn messages() -> Messages<Self> {
                Messages::new().command::<Note>().query::<Look>()
            }
        }
    };
}

notes!(
    Open,
    OpenEvent,
    "open",
    #[event(name = "tenure-shredded", version = 1)]
    Shredded,
);
notes!(Strict, StrictEvent, "strict",);

#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "note", version = 1)]
struct Note {
    text: String,
    then: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "look", version = 1)]
struct Look;

fn note(text: &str) -> Note {
    let text = text.to_owned();
    Note { text, then: None }
}

/// A node that is as patient as the tests.
fn patient() -> tenure::Builder {
    let builder = Tenure::builder().namespace("bank");
    builder.timeout(SOON).start_timeout(SOON)
}

async fn node(world: &World, cipher: &Turned) -> Tenure {
    let builder = patient();
    let builder = builder.cipher::<Open>(cipher.clone());
    let builder = builder.cipher::<Strict>(cipher.clone());
    world.start(builder.serve::<Open>().serve::<Strict>()).await
}

async fn what_is_stored_is_not_what_was_said(world: &World) {
    let cipher = Turned::default();
    let first = node(world, &cipher).await;
    let alice = first.entity::<Open>("alice");
    alice.ask(note("red")).await.unwrap();
    first.stop().await;
    let second = node(world, &cipher).await;
    let read = second.entity::<Open>("alice").read(Look).await.unwrap();
    assert_eq!(read.texts, ["red"]);
    second.stop().await;
    // A node without the cipher has only what is stored, and cannot make sense of it.
    let plain = world.start(patient().serve::<Open>()).await;
    let read = plain.entity::<Open>("alice").read(Look).await;
    let Err(ReadError::Load(LoadError::Fold { cause, .. })) = read else {
        panic!("{read:?}");
    };
    assert!(matches!(cause, FoldError::Undecodable { .. }), "{cause}");
}

async fn snapshots_and_replies_go_through_it(world: &World) {
    let cipher = Turned::default();
    let first = node(world, &cipher).await;
    let alice = first.entity::<Open>("alice");
    let id = first.command_id();
    assert_eq!(alice.ask(note("0")).id(id).await.unwrap(), 1);
    for n in 1..10 {
        alice.ask(note(&n.to_string())).await.unwrap();
        idle(&first).await;
    }
    assert!(first.counters().await.snapshots_stored > 0);
    first.stop().await;
    let second = node(world, &cipher).await;
    let alice = second.entity::<Open>("alice");
    let again = alice.ask(note("0")).id(id).served().await.unwrap();
    assert_eq!((again.answer.reply, again.answer.duplicate), (1, true));
    assert_eq!(alice.read(Look).await.unwrap().texts.len(), 10);
    assert!(second.counters().await.snapshots_used > 0);
    let parts = cipher.parts.lock().unwrap().clone();
    assert!(
        parts.is_superset(
            &["event noted", "snapshot", "reply"]
                .map(str::to_owned)
                .into()
        )
    );
    second.stop().await;
    cipher.forget("alice");
    let third = node(world, &cipher).await;
    let alice = third.entity::<Open>("alice");
    let again = alice.ask(note("0")).id(id).await;
    let Err(AskError::Execute(gone @ ExecuteError::Shredded { .. })) = again else {
        panic!("{again:?}");
    };
    assert!(gone.took_effect());
    let left = alice.read(Look).await.unwrap();
    assert_eq!(
        (left.texts.len(), left.shredded),
        (0, 10),
        "no snapshot either"
    );
}

async fn reminders_and_messages_go_through_it(world: &World) {
    let cipher = Turned::default();
    let node = node(world, &cipher).await;
    let alice = node.entity::<Open>("alice");
    let then = Some(("bob".to_owned(), "hello".to_owned()));
    let first = Note {
        text: "first".into(),
        then,
    };
    alice.ask(first).await.unwrap();
    let came = async {
        loop {
            let alice = alice.read(Look).await.unwrap();
            let bob = node.entity::<Open>("bob").read(Look).await.unwrap();
            if (alice.texts.len(), bob.texts.len()) == (2, 1) {
                assert_eq!((&*alice.texts[1], &*bob.texts[0]), ("hello", "hello"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, came).await.unwrap();
    assert!(cipher.parts.lock().unwrap().contains("message note"));
}

async fn a_kind_that_names_it_goes_on_without_what_was_lost(world: &World) {
    let cipher = Turned::default();
    let first = node(world, &cipher).await;
    for id in ["alice", "bob"] {
        first.entity::<Open>(id).ask(note("red")).await.unwrap();
    }
    first.stop().await;
    cipher.forget("alice");
    let second = node(world, &cipher).await;
    let left = second.entity::<Open>("alice").read(Look).await.unwrap();
    assert_eq!((left.texts.len(), left.shredded), (0, 1));
    let kept = second.entity::<Open>("bob").read(Look).await.unwrap();
    assert_eq!(kept.texts, ["red"]);
    let open = second.repository::<Open>().await.unwrap();
    let told = open.history("alice").unwrap().next().await.unwrap();
    assert_eq!(told.unwrap().event, OpenEvent::Shredded);
    let alice = second.entity::<Open>("alice");
    let more = alice.ask(note("blue")).await.unwrap_err();
    assert!(more.to_string().contains("alice is forgotten"), "{more}");
    // There is no key for the deletion's own reply, either.
    let id = second.command_id();
    alice.delete().id(id).await.unwrap();
    assert!(!open.exists("alice").await.unwrap());
    let again = alice.delete().id(id).await;
    assert!(
        matches!(again, Err(AskError::Execute(ExecuteError::Deleted { .. }))),
        "{again:?}"
    );
}

async fn a_kind_that_does_not_name_it_is_not_decided_on(world: &World) {
    let cipher = Turned::default();
    let first = node(world, &cipher).await;
    let alice = first.entity::<Strict>("alice");
    alice.ask(note("red")).await.unwrap();
    first.stop().await;
    cipher.forget("alice");
    let second = node(world, &cipher).await;
    let alice = second.entity::<Strict>("alice");
    let asked = alice.ask(note("blue")).await;
    let Err(AskError::Execute(ExecuteError::Fold { cause, .. })) = asked else {
        panic!("{asked:?}");
    };
    assert!(matches!(cause, FoldError::Shredded { .. }), "{cause}");
    assert!(cause.to_string().contains("tenure-shredded"), "{cause}");
    let strict = second.repository::<Strict>().await.unwrap();
    let mut history = strict.history("alice").unwrap();
    assert!(history.next().await.unwrap().is_none(), "it is left out");
}

async fn consumers_are_told_and_go_on(world: &World) {
    let cipher = Turned::default();
    let node = node(world, &cipher).await;
    let mut last = None;
    for id in ["alice", "bob"] {
        node.entity::<Strict>(id).ask(note("red")).await.unwrap();
        let asked = node.entity::<Open>(id).ask(note("red")).served();
        last = asked.await.unwrap().answer.sequence;
    }
    cipher.forget("alice");
    let told = Arc::new(Mutex::new(Vec::new()));
    let (open, strict) = (Arc::clone(&told), Arc::clone(&told));
    let consumer = node
        .consumer("told")
        .serial()
        .kind::<Open>(move |event: Consumed<OpenEvent>| {
            let told = Arc::clone(&open);
            async move {
                let shredded = event.event == OpenEvent::Shredded;
                told.lock()
                    .unwrap()
                    .push((event.id().to_string(), shredded));
            }
        })
        .kind::<Strict>(move |event: Consumed<StrictEvent>| {
            let told = Arc::clone(&strict);
            async move {
                told.lock()
                    .unwrap()
                    .push((format!("strict {}", event.id()), false))
            }
        })
        .start()
        .await
        .unwrap();
    let seen = consumer.seen::<Open>("bob", last.unwrap(), SOON);
    seen.await.unwrap();
    let soon = consumer.live();
    tokio::time::timeout(SOON, soon).await.unwrap().unwrap();
    let mut told = told.lock().unwrap().clone();
    told.sort();
    let wanted = [("alice", true), ("bob", false), ("strict bob", false)];
    assert_eq!(told, wanted.map(|(id, shredded)| (id.to_owned(), shredded)));
    consumer.stop().await.unwrap();
}

async fn a_cipher_that_cannot_say_now_is_asked_again(world: &World) {
    let cipher = Turned::default();
    let node = node(world, &cipher).await;
    let asked = node.entity::<Open>("alice").ask(note("red")).served();
    let at = asked.await.unwrap().answer.sequence.unwrap();
    cipher.away.store(true, Ordering::SeqCst);
    let consumer = node.consumer("told");
    let consumer = consumer.kind::<Open>(|_: Consumed<OpenEvent>| async {});
    let consumer = consumer.start().await.unwrap();
    let count = |count: &mut u32, _: &Consumed<OpenEvent>| *count += 1;
    let projection = node.projection("count", Memory::<u32>::default());
    let projection = projection.fold::<Open>(count).start().await.unwrap();
    let asked = cipher.asked.load(Ordering::SeqCst);
    // Each of the two was told so more often than one event is tried by their policies.
    let again = async {
        while cipher.asked.load(Ordering::SeqCst) < asked + 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.unwrap();
    let status = consumer.status();
    assert_eq!((status.failures, status.handled), (0, 0));
    cipher.away.store(false, Ordering::SeqCst);
    consumer.seen::<Open>("alice", at, SOON).await.unwrap();
    projection.seen::<Open>("alice", at, SOON).await.unwrap();
    assert_eq!(projection.read(|count| *count), 1);
}

async fn what_is_damaged_goes_by_the_policy(world: &World) {
    // A node without the cipher stores what the cipher never made.
    let bare = world.start(patient().serve::<Open>()).await;
    bare.entity::<Open>("alice").ask(note("red")).await.unwrap();
    bare.stop().await;
    let node = node(world, &Turned::default()).await;
    let asked = node.entity::<Open>("bob").ask(note("red")).served();
    let at = asked.await.unwrap().answer.sequence.unwrap();
    let consumer = node.consumer("told").undecodable(Policy {
        then: Then::DeadLetter,
        ..Policy::stop_at_once()
    });
    let consumer = consumer.kind::<Open>(|_: Consumed<OpenEvent>| async {});
    let consumer = consumer.start().await.unwrap();
    consumer.seen::<Open>("bob", at, SOON).await.unwrap();
    let live = tokio::time::timeout(SOON, consumer.live()).await;
    live.unwrap().unwrap();
    let letters = consumer.dead_letters().all().await.unwrap();
    let [letter] = &letters[..] else {
        panic!("one event is damaged: {letters:?}");
    };
    assert_eq!(letter.cause, Cause::Undecodable);
    assert!(letter.text.contains("it was not turned"), "{letter:?}");
}

async fn a_cipher_that_fails_stores_nothing(world: &World) {
    let node = node(world, &Turned::default()).await;
    let nobody = node.entity::<Open>("nobody");
    let asked = nobody.ask(note("red")).await.unwrap_err();
    assert!(asked.to_string().contains("no key for nobody"), "{asked}");
    assert!(!asked.is_unknown());
    assert_eq!(nobody.read(Look).await.unwrap(), Open::default());
}
