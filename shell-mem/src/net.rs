//! The network between the shells of one store: who listens where, and who hears what was stored.

use crate::store::{Announcement, matches};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::driver::{DELIVERIES_MAX, Ear};
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, Heard, SendRefused, Subject};
use tokio::sync::mpsc;

/// One shell with its clones, as a connection is to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u64);

/// Who listens and who hears, over all links.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: u64,
    cut: BTreeSet<LinkId>,
    listeners: BTreeMap<Subject, Vec<Listener>>,
    hearers: Vec<(Subject, LinkId, Ear)>,
    /// What each link's listeners and hearers had no room for; links that lost nothing are not in it.
    lost: BTreeMap<LinkId, u64>,
}

/// A receiver and the link that it is on.
#[derive(Debug)]
struct Listener {
    link: LinkId,
    to: mpsc::Sender<Delivery>,
}

impl Network {
    /// A link that nobody had before.
    pub(crate) fn join(&mut self) -> LinkId {
        self.links += 1;
        LinkId(self.links)
    }

    /// The link ends, and with it what it listens to.
    pub(crate) fn leave(&mut self, link: LinkId) {
        self.cut.remove(&link);
        self.lost.remove(&link);
        self.keep_listeners(|ear| ear.link != link);
        self.hearers.retain(|(_, of, _)| *of != link);
    }

    /// Whether what is sent to a link's listeners gets there.
    pub(crate) fn cut(&mut self, link: LinkId, cut: bool) {
        if cut {
            self.cut.insert(link);
        } else if self.cut.remove(&link) {
            for (_, _, ear) in self.hearers.iter().filter(|(_, of, _)| *of == link) {
                ear.missed();
            }
        }
    }

    /// How many announcements and answers "nobody listens" a link lost for want of room.
    pub(crate) fn lost(&self, link: LinkId) -> u64 {
        self.lost.get(&link).copied().unwrap_or_default()
    }

    pub(crate) fn listen(&mut self, link: LinkId, at: Subject) -> mpsc::Receiver<Delivery> {
        let (to, receiver) = mpsc::channel(DELIVERIES_MAX);
        self.keep_listeners(|ear| !ear.to.is_closed());
        self.listeners
            .entry(at)
            .or_default()
            .push(Listener { link, to });
        receiver
    }

    pub(crate) fn overhear(&mut self, link: LinkId, filter: Subject, ear: Ear) {
        self.hearers.retain(|(_, _, ear)| !ear.is_closed());
        self.hearers.push((filter, link, ear));
    }

    /// Takes a frame to those who listen, or tells its sender that nobody does. All get it or none.
    pub(crate) fn send(
        &mut self,
        op: OpId,
        (to, from): (&Subject, &Subject),
        frame: &Bytes,
    ) -> Result<(), SendRefused> {
        let reached = reached(&self.listeners, &self.cut, to);
        // Only this lock's holder sends: room that is seen here stays.
        if reached.clone().any(|ear| ear.to.capacity() == 0) {
            return Err(SendRefused::Full);
        }
        let mut taken = false;
        for ear in reached {
            let delivery = Delivery::Frame(frame.clone());
            taken |= ear.to.try_send(delivery).is_ok();
        }
        if taken {
            return Ok(());
        }
        for ear in self::reached(&self.listeners, &self.cut, from) {
            let told = ear.to.try_send(Delivery::NoResponders(op));
            if told.is_err() {
                *self.lost.entry(ear.link).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Takes what was stored to those who hear it.
    pub(crate) fn announce(&mut self, announcements: Vec<Announcement>) {
        for Announcement { subject, message } in announcements {
            let heard = Heard {
                subject: subject.into(),
                sequence: message.sequence,
                payload: message.payload,
            };
            self.heard(&heard);
        }
    }

    /// Takes something to those who hear it now.
    pub(crate) fn heard(&mut self, heard: &Heard) {
        for (filter, link, ear) in &self.hearers {
            let hears = !self.cut.contains(link) && matches(filter, &heard.subject);
            if hears && !ear.is_closed() && !ear.take(heard.clone()) {
                *self.lost.entry(*link).or_default() += 1;
            }
        }
    }

    fn keep_listeners(&mut self, keep: impl Fn(&Listener) -> bool) {
        self.listeners.retain(|_, ears| {
            ears.retain(&keep);
            !ears.is_empty()
        });
    }
}

/// The listeners of a subject that are there and whose link is up.
fn reached<'n>(
    listeners: &'n BTreeMap<Subject, Vec<Listener>>,
    cut: &'n BTreeSet<LinkId>,
    at: &Subject,
) -> impl Iterator<Item = &'n Listener> + Clone {
    let ears = listeners.get(at).map_or(&[][..], Vec::as_slice).iter();
    ears.filter(|ear| !ear.to.is_closed() && !cut.contains(&ear.link))
}
