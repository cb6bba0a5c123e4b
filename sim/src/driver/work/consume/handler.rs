//! The handlers: they take time, fail and panic, and keep what they did where no crash reaches it.

use super::Post;
use super::book::Act;
use super::shape::Fate;
use super::table::Table;
use tenure_core::api::RawEvent;
use tenure_core::api::consumer::{Consumed, EventBatch};

impl Post {
    /// Handles one event of a run.
    pub(super) async fn handles(self, run: u64, event: Consumed<RawEvent>) -> Result<(), String> {
        let place = event.place();
        let key = match self.shape.serial {
            true => String::new(),
            false => format!("{} {}", event.kind(), event.id()),
        };
        let _in_hand = self.book.hands(run, key, place, event.live());
        let given = self.book.tries(place, self.shape.is_poison(place));
        let (fate, takes) = self.shape.fate(&given);
        self.sim.sleep(takes).await;
        if matches!(fate, Fate::Fine | Fate::DoneAndFails) {
            self.book.note(Act::Handled { run, place });
        }
        match fate {
            Fate::Fine => {
                self.book.note(Act::Told { run, place });
                Ok(())
            }
            Fate::Fails | Fate::DoneAndFails => {
                self.book.note(Act::Failed { run, place });
                Err("not now".to_owned())
            }
            Fate::Panics => {
                self.book.note(Act::Failed { run, place });
                // Without the hook: it is no mistake of this program.
                std::panic::resume_unwind(Box::new("not now"))
            }
        }
    }

    /// Handles a batch of a run: what it makes of it and the checkpoint are stored together, or neither.
    pub(super) async fn folds(
        self,
        table: Table,
        (run, owner): (u64, u64),
        batch: EventBatch,
    ) -> Result<(), String> {
        let Some(first) = batch.events.first() else {
            return Ok(());
        };
        let place = first.place();
        let _in_hand = self.book.hands(run, String::new(), place, first.live());
        let mut given = self.book.tries(place, self.shape.is_poison(place));
        // One that cannot be handled is enough.
        let mut others = batch.events.iter().map(Consumed::place);
        given.poison |= others.any(|it| self.shape.is_poison(it) && !self.book.is_mended(it));
        let (fate, takes) = self.shape.fate(&given);
        self.sim.sleep(takes).await;
        if matches!(fate, Fate::Fine | Fate::DoneAndFails) {
            table.commit(owner, &batch, |place, live| {
                if place != first.place() {
                    self.book.note(Act::Handed { run, place, live });
                }
                self.book.note(Act::Handled { run, place });
            })?;
            let positions = table.positions().unwrap_or_default();
            self.book.note(Act::Saved { run, positions });
        }
        match fate {
            Fate::Fine => Ok(()),
            Fate::Fails | Fate::DoneAndFails => Err("not now".to_owned()),
            Fate::Panics => std::panic::resume_unwind(Box::new("not now")),
        }
    }
}
