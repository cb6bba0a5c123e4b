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
    /// It is filled beside this one, and takes its place.
    beside: Option<u64>,
    /// Its own, as soon as it is known.
    number: Option<u64>,
    file: Option<File>,
}

impl Life {
    pub(crate) fn new(path: &Path, tables: &str, beside: Option<u64>) -> Self {
        Self {
            path: path.to_owned(),
            tables: tables.to_owned(),
            beside,
            number: None,
            file: None,
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// Takes the state over, or makes one.
    pub(crate) fn open(&mut self, claim: &Claim) -> Result<Mark, StoreError> {
        let pointer = Pointer::open(&self.path)?;
        if let Some(beside) = self.beside {
            let first = claim.first(beside.saturating_add(1));
            return self.make(&pointer, first);
        }
        let life = pointer.life()?;
        let Some(number) = life else {
            let Standing::Begins(first) = claim.judge(None)? else {
                unreachable!("nothing is there to go on from");
            };
            let mark = self.make(&pointer, first)?;
            return self.point(&pointer, None, mark);
        };
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
        match (goes, begins) {
            (Some(mark), _) => {
                (self.number, self.file) = (Some(number), Some(file));
                Ok(mark)
            }
            (None, begins) => {
                let first = begins.unwrap_or_else(|| claim.first(1));
                let next = first.generation.max(number.saturating_add(1));
                let mark = self.make(
                    &pointer,
                    Mark {
                        generation: next,
                        ..first
                    },
                )?;
                let mark = self.point(&pointer, Some(number), mark)?;
                drop(file);
                self.remove(&pointer, number)?;
                Ok(mark)
            }
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
                let pointer = Pointer::open(&self.path)?;
                File::open(&pointer.file(number))?
            }
            (None, None) => return Err(StoreError::failed("no run has opened it")),
        };
        Ok(self.file.insert(file))
    }

    pub(crate) fn connection(&mut self) -> Result<&Connection, StoreError> {
        let file = self.file()?;
        file.connection()
            .ok_or_else(|| StoreError::away("its connection was lost"))
    }

    /// Takes the place of the one that it was filled beside.
    pub(crate) fn promote(&mut self) -> Result<(), StoreError> {
        let (Some(beside), Some(number)) = (self.beside, self.number) else {
            return Ok(());
        };
        let pointer = Pointer::open(&self.path)?;
        if !pointer.change(Some(beside), number)? {
            return Err(StoreError::failed(
                "another one took the place of the state that it was to replace",
            ));
        }
        self.beside = None;
        Ok(())
    }

    /// Closes and deletes its file.
    pub(crate) fn discard(&mut self) -> Result<(), StoreError> {
        self.file = None;
        match self.number.take() {
            Some(number) => self.remove(&Pointer::open(&self.path)?, number),
            None => Ok(()),
        }
    }

    fn remove(&self, pointer: &Pointer, number: u64) -> Result<(), StoreError> {
        file::remove(&pointer.file(number)).map_err(StoreError::away)
    }
}
