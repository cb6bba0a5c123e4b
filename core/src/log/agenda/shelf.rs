//! Messages to receivers that were away, and are left in the log: read from there when they are back.

use crate::format::Receiver;
use crate::id::{OpId, Sequence};
use crate::log::Note;
use crate::log::shard::{Op, Shard, Turn};
use crate::port::{Page, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Time};
use alloc::format;
use alloc::string::String;

/// A page that is read for a shelved receiver.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Reading {
    op: OpId,
    receiver: Receiver,
    /// Up to here its messages are taken in.
    after: Sequence,
    /// All commits up to here were taken in, but for its messages.
    up_to: Sequence,
    /// The last commit with timers or messages, as far as it was known.
    last: Sequence,
}

/// How far a page led.
struct Read {
    up_to: Sequence,
    again: Time,
}

impl Shard {
    /// Reads again what was put aside and whose time has come.
    pub(super) fn bring_back(&mut self, t: &mut Turn<'_, '_>) {
        if let Some(agenda) = &mut self.agenda {
            agenda.intents.bring_back(t.cx.now, &self.limits);
        }
    }

    /// Reads on for a shelved receiver that has room.
    pub(super) fn read_shelf(&mut self, t: &mut Turn<'_, '_>) {
        let up_to = self.watermark();
        let again = t.cx.now + self.limits.retry_delay_max;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if agenda.shelf.is_some() || agenda.retry.is_some() {
            return;
        }
        if agenda.intents.is_catching_up() {
            // Those of the index come first: they are earlier.
            return;
        }
        let (receiver, after) = loop {
            let Some((receiver, after)) = agenda.intents.lines.next_hungry() else {
                return;
            };
            if after < up_to {
                break (receiver, after);
            }
            // What comes next is not taken in yet.
            agenda.intents.lines.look(again, receiver);
        };
        let last = agenda.last.unwrap_or_default();
        let request = StoreRequest::Scan {
            stream: self.names.stream.clone(),
            filter: self.config.namespace.shard_filter(self.config.shard),
            from: Sequence(after.0 + 1),
            messages_max: self.limits.index_page,
        };
        let op = self.ask(t, Op::Shelf, request);
        if let Some(agenda) = &mut self.agenda {
            agenda.shelf = Some(Reading {
                op,
                receiver,
                after,
                up_to,
                last,
            });
        }
    }

    /// A page for a shelved receiver.
    pub(in crate::log) fn on_shelf(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let now = t.cx.now;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        // Asked when this node owned the shard before, it is of no use.
        let Some(reading) = agenda.shelf.take_if(|reading| reading.op == op) else {
            return;
        };
        let wait = |again| Read {
            up_to: reading.after,
            again,
        };
        let read = match reply {
            Outcome::Done(StoreDone::Page(page)) => self.on_shelf_page(t, &reading, &page),
            Outcome::Done(_) => return t.halt("the answer to a scan is another kind"),
            Outcome::Refused(refused) if !refused.passes() => {
                reached!(t.cx, "later: a page for a receiver was refused for good");
                let cause = format!("messages to a receiver cannot be read: {refused}");
                t.note(Note::IndexFailed { cause });
                wait(now + self.limits.later_delay_max)
            }
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "later: a page for a receiver is not told");
                wait(now + self.limits.retry_delay_max)
            }
        };
        if let Some(agenda) = &mut self.agenda {
            let lines = &mut agenda.intents.lines;
            lines.read_up_to((now, read.again), reading.receiver, read.up_to);
            if read.up_to > reading.after {
                agenda.changed(now);
            }
        }
    }

    fn on_shelf_page(&mut self, t: &mut Turn<'_, '_>, reading: &Reading, page: &Page) -> Read {
        reached!(t.cx, "later: a page is read for a receiver that was away");
        let (now, later) = (t.cx.now, t.cx.now + self.limits.retry_delay_max);
        let mut read = Read {
            up_to: reading.after,
            again: later,
        };
        for message in &page.messages {
            if message.sequence > reading.up_to {
                read.up_to = reading.up_to;
                return read;
            }
            match self.stored(message) {
                Ok(Some((kind, commit))) => {
                    let (receiver, sequence) = (reading.receiver, message.sequence);
                    if !self.take_shelved(receiver, &kind, sequence, &commit) {
                        return read;
                    }
                }
                Ok(None) => {}
                Err(cause) => return self.unreadable(t, message.sequence, &cause, read),
            }
            read.up_to = message.sequence;
        }
        if page.more {
            read.again = now;
        } else if !self.shape.replicated || read.up_to >= reading.last {
            read.up_to = reading.up_to;
        } else if let Some(agenda) = &mut self.agenda {
            // A replica that lags, or the mark is of a tail that was lost.
            let lines = &mut agenda.intents.lines;
            let since = lines.short_since(now, reading.receiver);
            if now.since(since) >= self.limits.absent_patience {
                read.up_to = reading.up_to;
            }
        }
        read
    }

    fn unreadable(
        &self,
        t: &mut Turn<'_, '_>,
        sequence: Sequence,
        cause: &String,
        read: Read,
    ) -> Read {
        let cause = format!("commit {sequence}: {cause}");
        t.note(Note::IndexFailed { cause });
        let again = t.cx.now + self.limits.later_delay_max;
        Read { again, ..read }
    }
}
