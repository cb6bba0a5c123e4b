//! People's data under a key for each: to forget somebody is to delete a key.
//!
//! People are registered, read and projected; then a key is deleted, and what the next node finds is shown. The
//! keys of a real program are in a store of their own, and not in the backups of this one. Here they end with
//! the process, so each run has a namespace of its own.

use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload as Sealed};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use clap::Parser;
use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure::consumer::Consumed;
use tenure::prelude::*;
use tenure::projection::{Memory, Projection};
use tenure::{Bytes, Cipher, CipherError, Decrypted, Payload, PayloadPart};
use tenure_examples::cli::ended;
use tenure_examples::load::drawn_seed;

/// The keys of people, by their ids.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<BTreeMap<String, Option<PersonKey>>>>);

type PersonKey = Key<XChaCha20Poly1305>;

impl Keys {
    /// The key of a person, made at first use; `None` when it was deleted.
    fn of(&self, id: &str) -> Option<PersonKey> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Some(PersonKey::generate());
        *keys.entry(id.to_owned()).or_insert_with(fresh)
    }

    /// Deletes the key of a person, for good.
    fn forget(&self, id: &str) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id.to_owned(), None);
    }
}

/// What the data is bound to: it cannot stand for another person's, or for another part.
fn bound_to(of: &Payload<'_>) -> Vec<u8> {
    let part = match of.part {
        PayloadPart::Event(name, version) => format!("event {name} {version}"),
        PayloadPart::Message(name, version) => format!("message {name} {version}"),
        PayloadPart::Snapshot => "snapshot".to_owned(),
        PayloadPart::Reply => "reply".to_owned(),
        _ => "another".to_owned(),
    };
    format!("{}\n{:?}\n{part}", of.kind, of.id.as_str()).into_bytes()
}

const NONCE_BYTES: usize = 24;

impl Cipher for Keys {
    fn encrypt(&self, of: &Payload<'_>, plain: &[u8]) -> Result<Bytes, CipherError> {
        let failed = |what: &str| CipherError(what.to_owned());
        let key = self.of(of.id.as_str());
        let key = key.ok_or_else(|| failed("this person is forgotten; take another id"))?;
        let nonce = XNonce::generate();
        let aad = &bound_to(of);
        let sealed = XChaCha20Poly1305::new(&key).encrypt(&nonce, Sealed { msg: plain, aad });
        let sealed = sealed.map_err(|_| failed("the data is too long"))?;
        Ok([nonce.as_slice(), &sealed].concat().into())
    }

    fn decrypt(&self, of: &Payload<'_>, stored: &[u8]) -> Result<Decrypted, CipherError> {
        let damaged = |what: &str| Ok(Decrypted::Damaged(what.to_owned()));
        let Some(key) = self.of(of.id.as_str()) else {
            return Ok(Decrypted::Shredded);
        };
        let Some((nonce, msg)) = stored.split_at_checked(NONCE_BYTES) else {
            return damaged("it is too short to be encrypted");
        };
        let aad = &bound_to(of);
        let Ok(nonce) = XNonce::try_from(nonce) else {
            return damaged("its nonce is too short");
        };
        let plain = XChaCha20Poly1305::new(&key).decrypt(&nonce, Sealed { msg, aad });
        let Ok(plain) = plain else {
            return damaged("it was altered, or is under another key");
        };
        Ok(Decrypted::Plain(plain.into()))
    }
}

/// A person, as far as somebody still may know.
#[derive(Clone, Debug, Default)]
struct Person {
    name: String,
    address: String,
    /// Events that nobody reads any more.
    shredded: u32,
}

#[derive(Clone, Debug, Event)]
enum PersonEvent {
    #[event(name = "registered", version = 1)]
    Registered { name: String },
    #[event(name = "moved", version = 1)]
    Moved { to: String },
    /// What is told in the place of an event whose key is gone.
    #[event(name = "tenure-shredded", version = 1)]
    Shredded,
}

impl Aggregate for Person {
    type Event = PersonEvent;
    const KIND: &'static str = "person";

    fn evolve(&mut self, event: &PersonEvent) {
        match event {
            PersonEvent::Registered { name } => self.name.clone_from(name),
            PersonEvent::Moved { to } => self.address.clone_from(to),
            PersonEvent::Shredded => self.shredded += 1,
        }
    }
}

type People = Repository<Person>;

async fn register(people: &People, id: &str, name: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let (name, to) = (name.to_owned(), to.to_owned());
    let registered = people.transact(id, move |_: &Person| {
        let (name, to) = (name.clone(), to.clone());
        let events = [PersonEvent::Registered { name }, PersonEvent::Moved { to }];
        Ok::<_, Never>(Decision::events(events))
    });
    registered.await?;
    Ok(())
}

/// The addresses by name, for a search.
type Directory = BTreeMap<String, (String, String)>;

async fn directory(node: &Tenure) -> Result<Projection<Memory<Directory>>, Box<dyn Error>> {
    let fold = |directory: &mut Directory, event: &Consumed<PersonEvent>| {
        let id = event.id().as_str().to_owned();
        match &event.event {
            PersonEvent::Registered { name } => {
                directory.entry(id).or_default().0.clone_from(name);
            }
            PersonEvent::Moved { to } => directory.entry(id).or_default().1.clone_from(to),
            PersonEvent::Shredded => drop(directory.remove(&id)),
        }
    };
    let directory = node
        .projection("directory", Memory::<Directory>::default())
        .fold::<Person>(fold)
        // Each run begins with the first event, as after a key was deleted every projection does.
        .reset()
        .start()
        .await?;
    tokio::time::timeout(Duration::from_secs(30), directory.live()).await??;
    Ok(directory)
}

async fn show(node: &Tenure, people: &People) -> Result<(), Box<dyn Error>> {
    let directory = directory(node).await?;
    for (id, (name, address)) in directory.read(Clone::clone) {
        println!("directory: {id} is {name}, {address}");
    }
    directory.stop().await?;
    for id in ["alice", "bob"] {
        let Loaded { state, version, .. } = people.load(id).await?;
        let Person {
            name,
            address,
            shredded,
        } = state;
        println!("{id} at version {version}: {name:?}, {address:?}, {shredded} events shredded");
    }
    Ok(())
}

/// Registers people under a key for each, deletes the key of one, and shows what is left of her.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where the events are kept: in memory as mem:NAME, or a nats-server such as nats://localhost:4222
    #[arg(default_value = "mem:people")]
    place: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Options { place } = Options::parse();
    ended(run(&place).await)
}

async fn run(place: &str) -> Result<(), Box<dyn Error>> {
    let run = drawn_seed();
    let namespace = format!("people-{run}");
    let keys = Keys::default();
    let builder = Tenure::builder()
        .namespace(&*namespace)
        .cipher::<Person>(keys.clone());
    let node = builder.start(place).await?;
    let people = node.repository::<Person>().await?;
    register(&people, "alice", "Alice Archer", "3 Elm Street").await?;
    register(&people, "bob", "Bob Baker", "5 Oak Lane").await?;
    show(&node, &people).await?;

    let log = node.log(Person::KIND).await?;
    let mut stored = log.history("alice")?;
    while let Some(event) = stored.next().await? {
        let data = &event.event.data;
        let readable = String::from_utf8_lossy(data);
        let found = ["Alice", "Elm"].iter().any(|word| readable.contains(word));
        let is = if found { "readable" } else { "not readable" };
        println!("stored: {} of {} bytes, {is}", event.event.name, data.len());
    }

    keys.forget("alice");
    println!("the key of alice is deleted");
    node.stop().await;

    // What a node held in memory went with it.
    let builder = Tenure::builder()
        .namespace(&*namespace)
        .cipher::<Person>(keys.clone());
    let node = builder.start(place).await?;
    let people = node.repository::<Person>().await?;
    show(&node, &people).await?;
    let refused = register(&people, "alice", "Alice Archer", "3 Elm Street").await;
    println!("nothing more is stored of alice: {}", refused.is_err());
    people.delete("alice").await?;
    println!("alice exists: {}", people.exists("alice").await?);
    node.stop().await;
    Ok(())
}
