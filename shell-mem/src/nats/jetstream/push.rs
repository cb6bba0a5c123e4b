//! Flow control of a consumer that pushes: how much is on its way to somebody who has not said that he has it.

use super::super::front::Front;
use super::super::wire::{Text, status};
use super::consumer::Consumer;
use alloc::format;
use bytes::Bytes;
use tenure_core::id::WallTime;

/// The largest window, in bytes.
const WINDOW_BYTES_MAX: usize = 32 << 20;
/// The first one.
const WINDOW_BYTES_FIRST: usize = WINDOW_BYTES_MAX / 16;

#[derive(Debug)]
pub(super) struct Flow {
    /// What is asked and not answered.
    pub(super) asked: Option<Text>,
    /// How many bytes were out when it was asked.
    asked_bytes: usize,
    out_bytes: usize,
    window_bytes: usize,
    /// When a sign of life is due.
    pub(super) beats: WallTime,
    /// Whether there is somebody to push to.
    pub(super) has_listener: bool,
}

impl Flow {
    pub(super) const fn new(at: WallTime) -> Self {
        Self {
            asked: None,
            asked_bytes: 0,
            out_bytes: 0,
            window_bytes: WINDOW_BYTES_FIRST,
            beats: at,
            has_listener: false,
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.out_bytes > self.window_bytes
    }

    /// So many more bytes are on their way; whether it is time to ask how far they are.
    pub(super) const fn sent(&mut self, bytes: usize) -> bool {
        self.out_bytes += bytes;
        self.asked.is_none() && self.out_bytes > self.window_bytes / 2
    }

    fn ask(&mut self, at: Text) {
        self.asked = Some(at);
        self.asked_bytes = self.out_bytes;
    }

    fn answered(&mut self) {
        self.asked = None;
        self.out_bytes = self.out_bytes.saturating_sub(self.asked_bytes);
        self.window_bytes = (2 * self.window_bytes).min(WINDOW_BYTES_MAX);
    }
}

impl Front {
    /// Takes the answer to a question of flow control.
    pub(super) fn flows(&mut self, subject: &Text) -> bool {
        let Some([_, _, stream, name, _]) = super::tokens::<5>(subject) else {
            return false;
        };
        let Some(consumer) = self.jetstream.consumer_mut(stream, name) else {
            return false;
        };
        if consumer.flow.asked.as_ref() == Some(subject) {
            consumer.flow.answered();
            self.jetstream.work.insert((stream.into(), name.into()));
        }
        true
    }

    /// Asks who listens to a consumer how far he is.
    pub(super) fn ask_flow(&mut self, stream: &str, name: &str, consumer: &mut Consumer) {
        let token = self.dice.name(4);
        let at = Text::from(format!("$JS.FC.{stream}.{name}.{token}"));
        consumer.flow.ask(at.clone());
        let message = super::super::wire::Publication {
            subject: consumer.config.deliver_subject.as_str().into(),
            reply: Some(at),
            headers: status(100, "FlowControl Request", &[]),
            payload: Bytes::new(),
        };
        self.route(None, &message);
    }
}
