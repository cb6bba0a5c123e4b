//! An export's file: records one after the other, each with a check that takes in all before it.

use super::json::Line;
use crate::format::{ExportHeader, ExportRecord, ExportTotals, FormatError};
use bytes::Bytes;
use siphasher::sip::SipHasher24;
use std::io::{self, BufRead, Read, Write};

/// How a file is written. A reader finds out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// JSON lines: one record in each, to be read by people and tools.
    JsonLines,
    /// A CBOR sequence (RFC 8742): each record is an array of an encoded item (tag 24) and its check. It is
    /// smaller and several times as fast.
    CborSequence,
}

/// Why a file is no whole export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportFileError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error(
        "it is no export: it begins with neither a line of JSON nor an item of a CBOR sequence"
    )]
    NoExport,
    /// It ends before its last record.
    #[error("it ends after record {records}, before its end: continue the export into it")]
    Cut {
        /// How many whole records it has; of JSON lines each is a line.
        records: u64,
    },
    /// A record cannot be read.
    #[error("record {record} cannot be read: {problem}")]
    Unreadable {
        /// Which record, from 1; of JSON lines the line.
        record: u64,
        /// What is wrong.
        problem: String,
    },
    /// A record is not the one that was written there: it was changed, or one before it is missing.
    #[error(
        "record {record} was altered, or does not follow the one before it: take an unaltered copy"
    )]
    Altered {
        /// Which record, from 1; of JSON lines the line.
        record: u64,
    },
    /// A record is where it does not belong.
    #[error("record {record} is out of its order: a file is a header, agendas, commits and an end")]
    OutOfOrder {
        /// Which record, from 1; of JSON lines the line.
        record: u64,
    },
    /// The last record does not say what the others are.
    #[error(
        "record {record} tells another sum than that of the records before it: take an unaltered copy"
    )]
    WrongSum {
        /// Which record, from 1; of JSON lines the line.
        record: u64,
    },
    /// A record cannot be told in JSON without a loss.
    #[error("record {record} cannot be told in JSON without a loss: export as a CBOR sequence")]
    NotAsJson {
        /// Which record, from 1.
        record: u64,
    },
}

/// The first half of the checks' key; the second is the check of the record before.
const CHECK_KEY: u64 = u64::from_be_bytes(*b"tenureex");

/// What a record of a CBOR sequence begins with: an array of two, tag 24.
const ITEM: [u8; 3] = [0x82, 0xD8, 0x18];
/// What its check begins with: 8 bytes.
const CHECK: u8 = 0x48;

/// The largest record that is believed: a message of a server, and room.
const RECORD_BYTES_MAX: usize = 80 << 20;
/// The same in JSON, where each byte may take six.
const LINE_BYTES_MAX: usize = 6 * RECORD_BYTES_MAX;

/// What a file of JSON lines begins with.
const BEGIN: &[u8] = br#"{"header":{"format":"tenure-export","#;

/// How much of a file tells whether it is ours.
pub(super) const BEGIN_BYTES: u64 = BEGIN.len() as u64;

/// Whether a file that begins so, and may end there, is ours.
pub(super) fn is_begin(bytes: &[u8]) -> bool {
    let alike = |begin: &[u8]| begin.iter().zip(bytes).all(|(a, b)| a == b);
    alike(BEGIN) || alike(&ITEM)
}

fn check(before: u64, record: &[u8]) -> u64 {
    SipHasher24::new_with_keys(CHECK_KEY, before).hash(record)
}

/// Writes records.
#[derive(Debug)]
pub(super) struct RecordWriter<W> {
    out: W,
    format: ExportFormat,
    check: u64,
    records: u64,
}

impl<W: Write> RecordWriter<W> {
    pub(super) fn new(out: W, format: ExportFormat) -> Self {
        Self {
            out,
            format,
            check: 0,
            records: 0,
        }
    }

    /// Goes on after what was read.
    pub(super) fn after<R>(out: W, read: &RecordReader<R>) -> Self {
        Self {
            out,
            format: read.format.unwrap_or(ExportFormat::JsonLines),
            check: read.check,
            records: read.records,
        }
    }

    pub(super) fn write(&mut self, record: &ExportRecord) -> Result<usize, ExportFileError> {
        let bytes = record.encode();
        self.check = check(self.check, &bytes);
        self.records += 1;
        match self.format {
            ExportFormat::JsonLines => {
                let mut line = serde_json::to_vec(&Line::new(record, self.check))
                    .map_err(|error| ExportFileError::Io(error.into()))?;
                let same = serde_json::from_slice::<Line>(&line).ok();
                let same = same.and_then(|line| line.record().ok());
                if same.is_none_or(|same| same.encode() != bytes) {
                    let record = self.records;
                    return Err(ExportFileError::NotAsJson { record });
                }
                line.push(b'\n');
                self.out.write_all(&line)?;
                Ok(line.len())
            }
            ExportFormat::CborSequence => {
                let mut item = ITEM.to_vec();
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                item.push(0x5A);
                item.extend_from_slice(&len.to_be_bytes());
                item.extend_from_slice(&bytes);
                item.push(CHECK);
                item.extend_from_slice(&self.check.to_be_bytes());
                self.out.write_all(&item)?;
                Ok(item.len())
            }
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), ExportFileError> {
        Ok(self.out.flush()?)
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

/// What a file has so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Begin,
    Agendas,
    Commits,
    End,
}

/// Reads records, and judges each.
#[derive(Debug)]
pub(super) struct RecordReader<R> {
    input: R,
    format: Option<ExportFormat>,
    at: At,
    check: u64,
    records: u64,
    /// The bytes of the whole records.
    bytes: u64,
    totals: ExportTotals,
}

/// What came next.
#[derive(Debug)]
pub(super) enum NextRecord {
    Record(ExportRecord),
    /// The file ends after its last record.
    Whole,
    /// The file ends before it.
    Cut,
}

impl<R: BufRead> RecordReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            format: None,
            at: At::Begin,
            check: 0,
            records: 0,
            bytes: 0,
            totals: ExportTotals::default(),
        }
    }

    /// The bytes of the records that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The first record.
    pub(super) fn header(&mut self) -> Result<Option<Box<ExportHeader>>, ExportFileError> {
        match self.next()? {
            NextRecord::Record(ExportRecord::Header(header)) => Ok(Some(header)),
            NextRecord::Record(_) => Err(ExportFileError::OutOfOrder { record: 1 }),
            NextRecord::Whole | NextRecord::Cut => Ok(None),
        }
    }

    /// The next record, if it is the one that was written there.
    pub(super) fn next(&mut self) -> Result<NextRecord, ExportFileError> {
        let first = match self.input.fill_buf()? {
            [] if self.at == At::End => return Ok(NextRecord::Whole),
            [] => return Ok(NextRecord::Cut),
            [first, ..] => *first,
        };
        let format = match (self.format, first) {
            (Some(format), _) => format,
            (None, b'{') => ExportFormat::JsonLines,
            (None, first) if first == ITEM[0] => ExportFormat::CborSequence,
            (None, _) => return Err(ExportFileError::NoExport),
        };
        let read = match format {
            ExportFormat::JsonLines => self.line()?,
            ExportFormat::CborSequence => self.item()?,
        };
        let Some((record, told, len)) = read else {
            return Ok(NextRecord::Cut);
        };
        self.format = Some(format);
        let number = self.records + 1;
        let check = check(self.check, &record.encode());
        if check != told {
            return Err(ExportFileError::Altered { record: number });
        }
        self.in_order(number, &record)?;
        self.check = check;
        self.records = number;
        self.bytes += len as u64;
        Ok(NextRecord::Record(record))
    }

    fn line(&mut self) -> Result<Option<(ExportRecord, u64, usize)>, ExportFileError> {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64;
        let len = Read::take(&mut self.input, limit).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return match len < LINE_BYTES_MAX {
                true => Ok(None),
                false => Err(self.unreadable("its line is too long")),
            };
        }
        let read = Line::read(&line).map_err(|problem| self.unreadable(problem))?;
        let told = u64::from_str_radix(&read.check, 16).map_err(|error| self.unreadable(error))?;
        let record = read.record().map_err(|problem| self.unreadable(problem))?;
        // What makes a record sound is said in one place.
        let record = ExportRecord::decode(&record.encode());
        let record = record.map_err(|error: FormatError| self.unreadable(error))?;
        Ok(Some((record, told, len)))
    }

    fn item(&mut self) -> Result<Option<(ExportRecord, u64, usize)>, ExportFileError> {
        let mut head = [0; 8];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let [a, b, c, kind, len @ ..] = head;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if [a, b, c] != ITEM || kind != 0x5A || len > RECORD_BYTES_MAX {
            return Err(self.unreadable("it is no item of an export"));
        }
        let mut bytes = vec![0; len];
        let mut tail = [0; 9];
        if !self.fill(&mut bytes)? || !self.fill(&mut tail)? {
            return Ok(None);
        }
        let [mark, told @ ..] = tail;
        if mark != CHECK {
            return Err(self.unreadable("it has no check"));
        }
        let record = ExportRecord::decode(&Bytes::from(bytes));
        let record = record.map_err(|error: FormatError| self.unreadable(error))?;
        Ok(Some((
            record,
            u64::from_be_bytes(told),
            head.len() + len + tail.len(),
        )))
    }

    /// Fills a buffer; whether there was enough.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, ExportFileError> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn unreadable(&self, problem: impl ToString) -> ExportFileError {
        ExportFileError::Unreadable {
            record: self.records + 1,
            problem: problem.to_string(),
        }
    }

    fn in_order(&mut self, number: u64, record: &ExportRecord) -> Result<(), ExportFileError> {
        self.at = match (self.at, record) {
            (At::Begin, ExportRecord::Header(_)) | (At::Agendas, ExportRecord::Agenda(_)) => {
                At::Agendas
            }
            (At::Agendas | At::Commits, ExportRecord::Commit(exported)) => {
                self.totals.add(exported);
                At::Commits
            }
            (At::Agendas | At::Commits, ExportRecord::End(totals)) if *totals == self.totals => {
                At::End
            }
            (At::Agendas | At::Commits, ExportRecord::End(_)) => {
                return Err(ExportFileError::WrongSum { record: number });
            }
            (At::Begin | At::Agendas | At::Commits | At::End, _) => {
                return Err(ExportFileError::OutOfOrder { record: number });
            }
        };
        Ok(())
    }
}
