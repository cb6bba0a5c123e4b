//! One round of decisions on one entity.

use super::{Draft, Job, Panicked};
use crate::api::contexts::{Said, Scene};
use crate::api::plans::Plans;
use crate::api::{
    Aggregate, CipherError, Ciphered, CodecError, DecideCx, Event, Messages, PayloadPart, deletion,
};
use crate::driver::host::caught;
use crate::format::{Codec, Later};
use crate::id::{CommandId, Version};
use crate::log::{Expected, NewEvent, Verdict};
use crate::name::{EntityId, KindName};
use bytes::Bytes;

/// Commands of one entity, decided one after another.
pub(super) struct Round<'a, A: Aggregate> {
    pub(super) codec: Codec,
    /// Its version is that after the events so far.
    pub(super) scene: Scene<'a>,
    pub(super) cipher: &'a Ciphered,
    /// The commands that the entity's reminders come as.
    pub(super) messages: &'a mut Option<Messages<A>>,
    /// What panicked last.
    pub(super) panicked: &'a mut Option<Panicked>,
    pub(super) committed: &'a A,
    /// The state after the events so far; `None` while there are none.
    pub(super) state: Option<A>,
    /// The events so far, to rebuild the state when `evolve` panics half way.
    pub(super) events: Vec<A::Event>,
}

impl<A: Aggregate> Round<'_, A> {
    pub(super) fn decide(&mut self, job: &mut dyn Job<A>, expected: Expected) -> Verdict {
        let version = self.scene.version;
        let met = match expected {
            Expected::Any => true,
            Expected::Exactly(exactly) => exactly == version,
            Expected::Present => version != Version::ABSENT,
        };
        if !met {
            return Verdict::Conflict(version);
        }
        // The job decides by itself, so what it says of itself is held beside it.
        let said = job.said().clone();
        let cx = DecideCx {
            scene: self.scene,
            said: &said,
            command: job.id(),
        };
        let state = self.state.as_ref().unwrap_or(self.committed);
        match caught(|| job.decide(state, &cx, self.codec)) {
            Ok(Draft::Rejected) => Verdict::Rejected,
            Ok(Draft::Accepted {
                events,
                outcome,
                record,
                delete,
                plans,
            }) => {
                let later = plans.map(|plans| self.later(*plans, (job.id(), &said)));
                later
                    .transpose()
                    .and_then(|later| self.accept((events, later), outcome, (record, delete)))
                    .unwrap_or_else(Verdict::Failed)
            }
            Err(panic) => {
                let told = format!("decide panicked: {panic}");
                *self.panicked = Some(("decide", panic));
                Verdict::Failed(told)
            }
        }
    }

    /// Timers and messages, as the log takes them.
    fn later(&mut self, plans: Plans<A>, by: (CommandId, &Said)) -> Result<Box<Later>, String> {
        if let (None, Some(messages)) = (&self.messages, plans.messages) {
            *self.messages = Some(caught(messages)?);
        }
        let mut later = plans.resolve(self.messages.as_ref(), by)?;
        let encrypted = self.cipher.encrypt_later(self.whose(), &mut later);
        encrypted.map_err(|error| error.to_string())?;
        Ok(Box::new(later))
    }

    fn accept(
        &mut self,
        (events, later): (Vec<A::Event>, Option<Box<Later>>),
        outcome: Result<Bytes, CodecError>,
        (record, delete): (bool, bool),
    ) -> Result<Verdict, String> {
        // Where nothing is stored the log makes nothing of it; but then it records no version either.
        let is_new = self.scene.version == Version::ABSENT && events.is_empty();
        let delete = delete && !(is_new && record);
        let outcome = outcome.map_err(|e| format!("the reply cannot be encoded: {e}"))?;
        let stores = delete || record || later.is_some() || !events.is_empty();
        let outcome = match self.encrypted(outcome, stores) {
            Ok(outcome) => outcome,
            // Whose key is gone can be deleted all the same: its tombstone keeps no reply.
            Err(_) if delete => Bytes::new(),
            Err(error) => return Err(error.to_string()),
        };
        let mut encoded = Vec::with_capacity(events.len());
        for event in &events {
            encoded.push(self.encode(event)?);
        }
        if delete && events.is_empty() {
            encoded.push(deletion::event(self.codec).map_err(|e| e.to_string())?);
        }
        let version = self.scene.version.after(events.len());
        let version = version.ok_or("no version is left above the entity's last one")?;
        self.evolve(&events)?;
        if delete {
            // Its round has no other command that counts.
            self.state = Some(A::default());
        }
        self.scene.version = version;
        if self.events.is_empty() {
            // Most rounds are of one command: its vector does.
            self.events = events;
        } else {
            self.events.extend(events);
        }
        Ok(Verdict::Accepted {
            events: encoded,
            outcome,
            record,
            later,
            delete,
        })
    }

    /// A reply as it is stored, if it is.
    fn encrypted(&self, outcome: Bytes, stores: bool) -> Result<Bytes, CipherError> {
        match stores {
            true => {
                let part = PayloadPart::Reply;
                self.cipher.encrypt(self.whose(), part, outcome)
            }
            false => Ok(outcome),
        }
    }

    /// An event as it is stored.
    fn encode(&self, event: &A::Event) -> Result<NewEvent, String> {
        let (name, schema) = (event.name(), event.schema());
        let data = caught(|| event.encode(self.codec))
            .and_then(|encoded| encoded.map_err(|e| e.to_string()))
            .map_err(|cause| format!("event {name:?} cannot be encoded: {cause}"))?;
        let part = PayloadPart::Event(name, schema);
        // That an entity is deleted is the framework's to read, and has nothing of the user's in it.
        let data = match deletion::is_told(name, schema) {
            true => Ok(data),
            false => self.cipher.encrypt(self.whose(), part, data),
        };
        Ok(NewEvent {
            version: None,
            name: name.into(),
            schema,
            data: data.map_err(|error| format!("event {name:?}: {error}"))?,
        })
    }

    fn whose(&self) -> (&KindName, &EntityId) {
        (self.scene.kind, self.scene.entity)
    }

    fn evolve(&mut self, events: &[A::Event]) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        let (before, committed) = (self.state.take(), self.committed);
        let evolved = caught(|| {
            let mut state = before.unwrap_or_else(|| committed.clone());
            for event in events {
                state.evolve(event);
            }
            state
        });
        match evolved {
            Ok(state) => {
                self.state = Some(state);
                Ok(())
            }
            Err(panic) => {
                self.rebuild();
                let told = format!("evolve panicked: {panic}");
                *self.panicked = Some(("evolve", panic));
                Err(told)
            }
        }
    }

    /// The state after the events so far, which `evolve` took before.
    fn rebuild(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let mut state = self.committed.clone();
        for event in &self.events {
            state.evolve(event);
        }
        self.state = Some(state);
    }
}
