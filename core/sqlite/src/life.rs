//! What the worker has: the file of one life, opened, lost and opened again.

use crate::file::{self, File, Transaction};
use crate::pointer::Pointer;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use tenure_core::api::projection::{Claim, FoldBatch, Mark, Standing, StoreError};

/// One life of a projection.
#[derive(Debug)]
pub(crate) struct Life {
    /// What the user named.
    path: PathBuf,
    tables: String,
    /// It is filled beside another one, and takes its place.
    beside: Option<Beside>,
    /// Its own, as soon as it is known.
    number: Option<u64>,
    file: Option<File>,
}

/// The life that serves until this one takes its place.
#[derive(Debug)]
struct Beside {
    life: u64,
    /// The connection of those who read it; `None` where they have another store.
    served: Option<Connection>,
}

impl Life {
    pub(crate) fn new(path: &Path, tables: &str, beside: Option<u64>) -> Self {
        Self {
            path: path.to_owned(),
            tables: tables.to_owned(),
            beside: beside.map(|life| Beside { life, served: None }),
            number: None,
            file: None,
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// Whether it waits to take another one's place.
    pub(crate) fn is_beside(&self) -> bool {
        self.beside.is_some()
    }

    /// Takes the state over, or makes one.
    pub(crate) fn open(&mut self, claim: &Claim) -> Result<Mark, StoreError> {
        let pointer = Pointer::open(&self.path)?;
        if let Some(beside) = &self.beside {
            let first = claim.first(beside.life.saturating_add(1));
            return self.make(&pointer, first);
        }
        let Some(number) = pointer.life()? else {
            let mark = self.make(&pointer, claim.first(1))?;
            return self.point(&pointer, None, mark);
        };
        let next = number.saturating_add(1);
        if claim.is_reset() {
            // Whatever is there, also what is no database any more.
            let mark = self.make(&pointer, claim.first(next))?;
            let mark = self.point(&pointer, Some(number), mark)?;
            self.remove(&pointer, number)?;
            return Ok(mark);
        }
        let mut file = File::open(&pointer.file(number))?;
        let mut begins = None;
        let goes = file.take_over(|found| {
            Ok(match claim.judge(found)? {
                Standing::Goes(mark) => Some(mark),
                Standing::Begins(mark) => {
                    begins = Some(mark);
                    None
                }
            })
        })?;
        if let Some(mark) = goes {
            (self.number, self.file) = (Some(number), Some(file));
            return Ok(mark);
        }
        // What an older version made serves until this one has caught up.
        let first = begins.unwrap_or_else(|| claim.first(next));
        let generation = first.generation.max(next);
        let served = file.into_connection();
        let mark = match self.go_on(claim, &pointer, generation)? {
            Some(mark) => mark,
            None => {
                let first = Mark {
                    generation,
                    ..first
                };
                self.make(&pointer, first)?
            }
        };
        self.beside = Some(Beside {
            life: number,
            served,
        });
        Ok(mark)
    }

    /// Goes on with what a former start filled beside the one that serves.
    fn go_on(
        &mut self,
        claim: &Claim,
        pointer: &Pointer,
        life: u64,
    ) -> Result<Option<Mark>, StoreError> {
        let path = pointer.file(life);
        if !path.exists() {
            return Ok(None);
        }
        let judge = |found: Option<&Mark>| {
            Ok(match claim.judge(found) {
                Ok(Standing::Goes(mark)) if mark.generation == life => Some(mark),
                // It is made anew.
                Ok(Standing::Goes(_) | Standing::Begins(_)) | Err(_) => None,
            })
        };
        let opened = File::open(&path).and_then(|mut file| Ok((file.take_over(judge)?, file)));
        match opened {
            Ok((Some(mark), file)) => {
                (self.number, self.file) = (Some(life), Some(file));
                Ok(Some(mark))
            }
            Err(away @ StoreError::Away(_)) => Err(away),
            Ok((None, _)) | Err(_) => Ok(None),
        }
    }

    fn make(&mut self, pointer: &Pointer, first: Mark) -> Result<Mark, StoreError> {
        let number = first.generation;
        self.file = Some(File::make(&pointer.file(number), &self.tables, &first)?);
        self.number = Some(number);
        Ok(first)
    }

    fn point(&self, pointer: &Pointer, from: Option<u64>, mark: Mark) -> Result<Mark, StoreError> {
        match pointer.change(from, mark.generation)? {
            true => Ok(mark),
            false => Err(StoreError::away("another one began at the same time")),
        }
    }

    pub(crate) fn fold(&mut self, batch: &FoldBatch<Transaction>) -> Result<(), StoreError> {
        let folded = self.file()?.fold(batch);
        if let Err(StoreError::Away(_)) = folded {
            // Perhaps it comes back as another file, or under another lock.
            self.file = None;
        }
        folded
    }

    /// The file, opened again if it was away.
    fn file(&mut self) -> Result<&mut File, StoreError> {
        let file = match (self.file.take(), self.number) {
            (Some(file), _) => file,
            (None, Some(number)) => {
                let pointer = Pointer::there(&self.path)?;
                let beside = self.beside.as_ref().map(|beside| beside.life);
                match pointer.life()? {
                    Some(named) if named != number && Some(named) != beside => {
                        return Err(superseded(&pointer, named)?);
                    }
                    Some(_) | None => File::open(&pointer.file(number))?,
                }
            }
            (None, None) => return Err(StoreError::failed("no run has opened it")),
        };
        Ok(self.file.insert(file))
    }

    /// What readers see.
    pub(crate) fn connection(&mut self) -> Result<&Connection, StoreError> {
        let serves = matches!(&self.beside, Some(it) if it.served.is_some());
        let connection = match serves {
            true => self.beside.as_ref().and_then(|it| it.served.as_ref()),
            false => self.file()?.connection(),
        };
        connection.ok_or_else(|| StoreError::away("its connection was lost"))
    }

    /// Takes the place of the one that it was filled beside; once more does no harm.
    pub(crate) fn promote(&mut self) -> Result<(), StoreError> {
        let (Some(Beside { life, served }), Some(number)) = (&self.beside, self.number) else {
            return Ok(());
        };
        let (life, alone) = (*life, served.is_some());
        let pointer = Pointer::there(&self.path)?;
        if pointer.life()? != Some(number) {
            self.file()?.sync()?;
            if !pointer.change(Some(life), number)? {
                return Err(StoreError::failed(
                    "another one took the place of the state that it was to replace",
                ));
            }
        }
        self.beside = None;
        if alone {
            // What cannot be deleted stays, and is nobody's.
            let _ = self.remove(&pointer, life);
        }
        Ok(())
    }

    /// Closes and deletes its file, unless it is the projection's.
    pub(crate) fn discard(&mut self) -> Result<(), StoreError> {
        self.file = None;
        let Some(number) = self.number.take() else {
            return Ok(());
        };
        let pointer = Pointer::there(&self.path)?;
        match pointer.life()? {
            Some(named) if named == number => Ok(()),
            Some(_) | None => self.remove(&pointer, number),
        }
    }

    fn remove(&self, pointer: &Pointer, number: u64) -> Result<(), StoreError> {
        file::remove(&pointer.file(number)).map_err(StoreError::away)
    }
}

/// Who has the projection now.
fn superseded(pointer: &Pointer, named: u64) -> Result<StoreError, StoreError> {
    let mark = File::open(&pointer.file(named))?.mark()?;
    let mark = mark.ok_or_else(|| StoreError::away("its mark is gone"))?;
    Ok(StoreError::Superseded {
        node: mark.node,
        run: mark.run,
    })
}
