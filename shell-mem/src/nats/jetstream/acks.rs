//! Acknowledgements: what is done with a message that a consumer gave.

use super::super::front::Front;
use super::super::wire::Publication;
use super::consumer_config::ConsumerConfig;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::Deserialize;
use tenure_core::id::WallTime;

#[derive(Debug, Deserialize)]
struct Delay {
    delay: i64,
}

impl Front {
    /// Takes an acknowledgement of `<stream>.<consumer>.<times>.<sequence>.<number>.<nanos>.<pending>`; whether
    /// there is its consumer.
    pub(super) fn acknowledged(&mut self, acked: &str, publication: &Publication) -> bool {
        let Some([stream, name, _, sequence, _, _, _]) = super::tokens::<7>(acked) else {
            return false;
        };
        let Ok(sequence) = sequence.parse::<u64>() else {
            return false;
        };
        if self.jetstream.consumer(stream, name).is_none() {
            return false;
        }
        let body = &publication.payload;
        let word = body.split(|byte| byte.is_ascii_whitespace()).next();
        let rest = word.and_then(|word| body.get(word.len()..));
        let rest = rest.unwrap_or_default().trim_ascii();
        match word.unwrap_or_default() {
            b"-NAK" => self.nak((stream, name), sequence, rest),
            b"+WPI" => self.in_progress((stream, name), sequence),
            b"+NXT" => {
                self.settle((stream, name), sequence);
                let pull = Publication {
                    payload: Bytes::copy_from_slice(rest),
                    ..publication.clone()
                };
                self.pull(&alloc::format!("{stream}.{name}"), &pull);
                return true;
            }
            b"" | b"+ACK" | b"+OK" | b"+TERM" => self.settle((stream, name), sequence),
            _ => {}
        }
        self.jetstream.work.insert((stream.into(), name.into()));
        if let Some(reply) = &publication.reply {
            self.send(reply, Bytes::new(), Bytes::new());
        }
        true
    }

    fn settle(&mut self, (stream, name): (&str, &str), sequence: u64) {
        let at = self.at;
        let Some(consumer) = self.jetstream.consumer_mut(stream, name) else {
            return;
        };
        consumer.used_by_ack(at);
        consumer.acked.at = Some(at);
        let settled: Vec<u64> = consumer.acknowledge_as_asked(sequence);
        for sequence in settled {
            let kept = self.store.kept(stream, sequence);
            if let Some(subject) = kept.map(|kept| kept.message.subject.clone()) {
                self.release(stream, sequence, &subject, None);
            }
        }
    }

    fn nak(&mut self, (stream, name): (&str, &str), sequence: u64, rest: &[u8]) {
        let at = self.at;
        let Some(consumer) = self.jetstream.consumer_mut(stream, name) else {
            return;
        };
        consumer.used_by_ack(at);
        let delay: Option<Delay> = serde_json::from_slice(rest).ok();
        match delay
            .map(|it| ConsumerConfig::millis(it.delay))
            .unwrap_or(0)
        {
            0 => consumer.ask_again(sequence),
            ms => consumer.ask_again_at(sequence, WallTime(at.0.saturating_add(ms))),
        }
    }

    fn in_progress(&mut self, (stream, name): (&str, &str), sequence: u64) {
        let at = self.at;
        if let Some(consumer) = self.jetstream.consumer_mut(stream, name) {
            consumer.used_by_ack(at);
            consumer.wait_for_ack(sequence, at);
        }
    }
}
