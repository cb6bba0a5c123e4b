//! Runs exports, imports and comparisons.

use super::file::{BEGIN_BYTES, NextRecord, RecordReader, RecordWriter, is_begin};
use super::options::Common;
use super::{
    ExportFileError, ExportOptions, ImportOptions, TransferError, TransferProgress, TransferReport,
    TransferStage, VerifyOptions,
};
use crate::driver::Shell;
use crate::driver::transfer::{NotOpen, Running, Station};
use crate::format::{ExportHeader, ExportRecord, ExportTotals, Import, Selection};
use crate::id::{ExportId, LayoutId, Ticket};
use crate::name::Namespace;
use crate::space::{KindWish, Opened, SpaceError, SpaceWish};
use crate::step::{Dice, Limits, Purpose};
use crate::transfer::{
    Exporter, ExporterEffect, ExporterInput, ImportPlan, Importer, ImporterEffect, ImporterInput,
    Resumed, Source,
};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

/// How many entities an import keeps in mind.
const ENTITIES_MAX: usize = 65_536;

/// How many bytes of commits an import takes in at once.
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// How many records are read between two reports of progress.
const PROGRESS_RECORDS: u64 = 1_024;

/// Exports a namespace, or a part of it, to a file. What is committed after the beginning is not in it.
///
/// A file that holds an unfinished export of the same is continued, up to where it was to end. Nodes may
/// serve the namespace meanwhile. Writing to the file holds the task up.
///
/// Not cancel safe in what it returns; dropped, it leaves a file that can be continued.
///
/// # Errors
///
/// When the namespace is not there, cannot be read or has a gap, has nothing of what was selected, or the file
/// cannot be written or is another one.
pub async fn export_with<S: Shell>(
    shell: S,
    options: ExportOptions,
    path: impl AsRef<Path>,
) -> Result<TransferReport, TransferError> {
    let ExportOptions {
        namespace,
        selection,
        format,
        mut common,
    } = options;
    let path = path.as_ref();
    let in_file = |error| in_file(path, error);
    let dice = Dice::new(shell.seed());
    let wish = existing(&namespace)?;
    let limits = common.limits;
    let opened = Station::open(shell, dice, wish, limits).await;
    let (mut station, opened) = opened.map_err(|error| unopened(&namespace, error))?;
    let source = source(&namespace, opened, &common)?;
    let begun = (
        ExportId(dice.roll128(Purpose::Layout, 2)),
        station.shell().wall(),
    );
    let is_part = !selection.is_all();
    let new = Exporter::new(source.clone(), selection, begun);
    let file = OpenOptions::new()
        .read(true)
        .append(false)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| in_file(error.into()))?;
    let unfinished = resumed(&file, &source, path, &mut common)?;
    if let Some((_, resumed)) = &unfinished
        && !new.is_of(resumed.header())
    {
        return Err(TransferError::OtherExport {
            path: path.to_owned(),
            found: said(resumed.header()),
            wanted: said(new.header()),
        });
    }
    let wanted = said(new.header());
    // Before the first commit nothing is gained by what is in the file.
    let unfinished = unfinished.filter(|(_, resumed)| resumed.totals().commits > 0);
    let whole = unfinished.as_ref().map_or(0, |(read, _)| read.bytes());
    cut(&file, whole).map_err(in_file)?;
    let out = BufWriter::new(&file);
    let (mut writer, exporter, before) = match unfinished {
        Some((reader, resumed)) => {
            let before = resumed.totals().commits;
            let writer = RecordWriter::after(out, &reader);
            (writer, Exporter::resume(source, resumed), before)
        }
        None => (RecordWriter::new(out, format), new, 0),
    };
    let mut running = Running::new(exporter, &limits);
    station.step(&mut running, ExporterInput::Begin);
    let totals = loop {
        match station.turn(&mut running).await? {
            None | Some(ExporterEffect::Store { .. }) => {}
            Some(ExporterEffect::Head { header, agendas }) => {
                let head = ExportRecord::Header(header);
                let agendas = agendas.into_iter().map(ExportRecord::Agenda);
                for record in [head].into_iter().chain(agendas) {
                    writer.write(&record).map_err(in_file)?;
                }
                writer.flush().map_err(in_file)?;
            }
            Some(ExporterEffect::Page { leg, commits }) => {
                for exported in commits {
                    let record = ExportRecord::Commit(exported.into());
                    writer.write(&record).map_err(in_file)?;
                }
                // What is whole is in the file, whenever it ends.
                writer.flush().map_err(in_file)?;
                station.step(&mut running, ExporterInput::Taken { leg });
                tell(&mut common, TransferStage::Exporting, &running.machine);
            }
            Some(ExporterEffect::Finished(totals)) => break totals,
            Some(ExporterEffect::Failed(fault)) => return Err(fault.into()),
        }
    };
    if is_part && totals.commits == 0 {
        drop(writer);
        cut(&file, 0).map_err(in_file)?;
        return Err(TransferError::Nothing { wanted });
    }
    writer.write(&ExportRecord::End(totals)).map_err(in_file)?;
    writer.flush().map_err(in_file)?;
    drop(writer);
    file.sync_all().map_err(|error| in_file(error.into()))?;
    Ok(TransferReport::new(totals, totals.commits - before))
}

/// Imports an export into a namespace that it makes, and verifies it: all is read back, and count and hash
/// are compared with the file's. Nobody else opens the namespace until that is done.
///
/// Run again with the same file after an interruption, it goes on: what is stored is not stored again.
///
/// Not cancel safe in what it returns; dropped, it leaves a namespace that can be continued.
///
/// # Errors
///
/// When the file is not whole or was altered, the namespace is in use or filled from another export, a
/// commit does not fit the server, or what is stored is not what the file holds.
pub async fn import_with<S: Shell>(
    shell: S,
    options: ImportOptions,
    path: impl AsRef<Path>,
) -> Result<TransferReport, TransferError> {
    let path = path.as_ref();
    let in_file = |error| in_file(path, error);
    let ImportOptions {
        namespace,
        shards,
        streams,
        replicas,
        window,
        mut common,
    } = options;
    let limits = common.limits;
    let (mut reader, len) = opened_file(path)?;
    let header = reader.header().map_err(in_file)?;
    let header = header.ok_or_else(|| in_file(ExportFileError::Cut { records: 0 }))?;
    // A file that is not whole is not begun with: nothing would be gained.
    let totals = totals_of(path, &mut common)?;
    let dice = Dice::new(shell.seed());
    let wished = Import {
        layout: LayoutId(dice.roll128(Purpose::Layout, 0)),
        export: header.export,
        source: header.namespace.clone(),
        begun: shell.wall(),
        done: None,
        unknown: crate::format::Unknown::default(),
    };
    let wish = SpaceWish {
        shards: Some(shards.unwrap_or_else(|| header.layout.shards())),
        streams,
        replicas,
        // Ids of timers and messages are made with it, and receivers know messages by them.
        key: Some(header.layout.key),
        import: Some(wished.clone()),
        ..SpaceWish::new(Namespace::new(&namespace)?)
    };
    let (mut station, opened) = Station::open(shell, dice, wish, limits).await?;
    let import = station.space().wish().import.clone();
    let import = import.unwrap_or_else(|| wished.clone());
    let mut kinds = BTreeMap::new();
    for kind in &header.kinds {
        let wish = KindWish {
            ticket: Ticket(0),
            name: kind.name.clone(),
            mode: kind.mode,
            class: kind.class,
            codec: kind.codec,
            placement: kind.placement,
            timeout: limits.open_timeout,
        };
        let record = station.kind(wish).await?;
        kinds.insert(record.name.clone(), record);
    }
    let plan = ImportPlan {
        target: source(&namespace, opened, &common)?,
        kinds,
        from: header.layout,
        fresh: import.layout == wished.layout,
        import,
        entities_max: ENTITIES_MAX,
        window_max: window,
        window_bytes_max: WINDOW_BYTES_MAX,
    };
    let mut running = Running::new(Importer::new(plan), &limits);
    loop {
        while running.machine.has_room() {
            let input = match reader.next().map_err(in_file)? {
                NextRecord::Record(ExportRecord::Agenda(agenda)) => ImporterInput::Agenda(agenda),
                NextRecord::Record(ExportRecord::Commit(commit)) => ImporterInput::Commit(commit),
                // Its sum is that of the commits, or the reader had refused it.
                NextRecord::Record(ExportRecord::End(_)) => ImporterInput::End {
                    wall: station.shell().wall(),
                },
                NextRecord::Record(ExportRecord::Header(_)) | NextRecord::Whole => break,
                NextRecord::Cut => {
                    let records = reader.records();
                    return Err(in_file(ExportFileError::Cut { records }));
                }
            };
            station.step(&mut running, input);
            if reader.records().is_multiple_of(PROGRESS_RECORDS) {
                let (stored, found) = running.machine.written();
                (common.progress)(TransferProgress {
                    stage: TransferStage::Importing,
                    done: reader.bytes(),
                    of: len,
                    commits: stored + found,
                });
            }
        }
        match station.turn(&mut running).await? {
            None | Some(ImporterEffect::Store { .. }) => {}
            Some(ImporterEffect::Finished(totals)) => {
                let (stored, _) = running.machine.written();
                return Ok(TransferReport::new(totals, stored));
            }
            Some(ImporterEffect::Failed(fault)) => return Err(fault.into()),
        }
        let read_back = running.machine.read_back();
        if read_back > 0 {
            (common.progress)(TransferProgress {
                stage: TransferStage::Verifying,
                done: read_back,
                of: totals.commits,
                commits: totals.commits,
            });
        }
    }
}

/// Compares a namespace with an export: the file must be whole and unaltered, and count and hash those of what
/// is stored. A namespace that was written to since differs.
///
/// Cancel safe.
///
/// # Errors
///
/// When they differ, or one of them cannot be read.
pub async fn verify_with<S: Shell>(
    shell: S,
    options: VerifyOptions,
    path: impl AsRef<Path>,
) -> Result<TransferReport, TransferError> {
    let path = path.as_ref();
    let VerifyOptions {
        namespace,
        mut common,
    } = options;
    let limits = common.limits;
    let file = totals_of(path, &mut common)?;
    let (mut reader, _) = opened_file(path)?;
    let header = reader.header().map_err(|error| in_file(path, error))?;
    let selection = header.map(|header| header.selection).unwrap_or_default();
    let dice = Dice::new(shell.seed());
    let wish = existing(&namespace)?;
    let opened = Station::open(shell, dice, wish, limits).await;
    let (mut station, opened) = opened.map_err(|error| unopened(&namespace, error))?;
    let source = source(&namespace, opened, &common)?;
    let begun = (
        ExportId(dice.roll128(Purpose::Layout, 2)),
        station.shell().wall(),
    );
    let exporter = Exporter::new(source, selection, begun);
    let mut running = Running::new(exporter, &limits);
    station.step(&mut running, ExporterInput::Begin);
    loop {
        match station.turn(&mut running).await? {
            None | Some(ExporterEffect::Store { .. } | ExporterEffect::Head { .. }) => {}
            Some(ExporterEffect::Page { leg, .. }) => {
                station.step(&mut running, ExporterInput::Taken { leg });
                tell(&mut common, TransferStage::Verifying, &running.machine);
            }
            Some(ExporterEffect::Finished(stored)) if stored == file => {
                return Ok(TransferReport::new(file, 0));
            }
            Some(ExporterEffect::Finished(stored)) => {
                return Err(crate::transfer::TransferFault::Mismatch { file, stored }.into());
            }
            Some(ExporterEffect::Failed(fault)) => return Err(fault.into()),
        }
    }
}

/// A namespace that is taken as it is.
fn existing(namespace: &str) -> Result<SpaceWish, TransferError> {
    Ok(SpaceWish {
        create: false,
        ..SpaceWish::new(Namespace::new(namespace)?)
    })
}

/// Why it cannot be: one that is not there is not made here.
fn unopened(namespace: &str, error: NotOpen) -> TransferError {
    match error {
        NotOpen::Space(SpaceError::StreamMissing { .. }) => TransferError::NoNamespace {
            namespace: namespace.to_owned(),
        },
        NotOpen::Space(_) | NotOpen::Halted(_) => error.into(),
    }
}

fn source(namespace: &str, opened: Opened, common: &Common) -> Result<Source, TransferError> {
    let limits: Limits = common.limits;
    Ok(Source {
        namespace: Namespace::new(namespace)?,
        layout: opened.layout,
        shapes: opened.shapes,
        limits,
        patience: common.patience.into(),
    })
}

fn tell(common: &mut Common, stage: TransferStage, exporter: &Exporter) {
    let (done, of) = exporter.passed();
    let commits = exporter.totals().commits;
    (common.progress)(TransferProgress {
        stage,
        done,
        of,
        commits,
    });
}

fn in_file(path: &Path, error: ExportFileError) -> TransferError {
    let path = path.to_owned();
    TransferError::File { path, error }
}

/// What an export is of, in words.
fn said(header: &ExportHeader) -> String {
    let Selection { kinds, entities } = &header.selection;
    let kinds = kinds.iter().map(|kind| format!(", kind {kind}"));
    let entities = entities.iter().map(|(kind, id)| format!(", {kind} {id:?}"));
    let parts: String = kinds.chain(entities).collect();
    format!(
        "namespace {} (layout {}){parts}",
        header.namespace, header.layout.id
    )
}

fn opened_file(path: &Path) -> Result<(RecordReader<BufReader<File>>, u64), TransferError> {
    let file = File::open(path).map_err(|error| in_file(path, error.into()))?;
    let len = file
        .metadata()
        .map_err(|error| in_file(path, error.into()))?;
    Ok((RecordReader::new(BufReader::new(file)), len.len()))
}

/// Reads a file to its end: it must be whole.
fn totals_of(path: &Path, common: &mut Common) -> Result<ExportTotals, TransferError> {
    let (mut reader, of) = opened_file(path)?;
    let mut totals = ExportTotals::default();
    loop {
        match reader.next().map_err(|error| in_file(path, error))? {
            NextRecord::Record(ExportRecord::End(end)) => totals = end,
            NextRecord::Record(_) => {}
            NextRecord::Whole => return Ok(totals),
            NextRecord::Cut => {
                let records = reader.records();
                return Err(in_file(path, ExportFileError::Cut { records }));
            }
        }
        if reader.records().is_multiple_of(PROGRESS_RECORDS) {
            (common.progress)(TransferProgress {
                stage: TransferStage::Resuming,
                done: reader.bytes(),
                of,
                commits: reader.records(),
            });
        }
    }
}

/// Whether a file without a whole record is ours, as far as it goes.
fn begins_export(mut file: &File) -> Result<bool, ExportFileError> {
    let mut begin = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(BEGIN_BYTES).read_to_end(&mut begin)?;
    Ok(is_begin(&begin))
}

/// Cuts a file, and goes on writing there.
fn cut(mut file: &File, len: u64) -> Result<(), ExportFileError> {
    file.set_len(len)?;
    file.seek(SeekFrom::Start(len))?;
    Ok(())
}

type Unfinished<'f> = (RecordReader<BufReader<&'f File>>, Resumed);

/// What an unfinished file holds; `None` where it has not even a header.
fn resumed<'f>(
    file: &'f File,
    source: &Source,
    path: &Path,
    common: &mut Common,
) -> Result<Option<Unfinished<'f>>, TransferError> {
    let in_file = |error| in_file(path, error);
    let of = file
        .metadata()
        .map_err(|error| in_file(error.into()))?
        .len();
    let mut reader = RecordReader::new(BufReader::new(file));
    let Some(header) = reader.header().map_err(in_file)? else {
        return match begins_export(file).map_err(in_file)? {
            true => Ok(None),
            false => Err(in_file(ExportFileError::NoExport)),
        };
    };
    let mut resumed = Resumed::new(source, *header);
    loop {
        match reader.next().map_err(in_file)? {
            NextRecord::Record(ExportRecord::Commit(exported)) => resumed.take(&exported),
            NextRecord::Record(ExportRecord::Header(_) | ExportRecord::Agenda(_)) => {}
            NextRecord::Record(ExportRecord::End(_)) | NextRecord::Whole => {
                return Err(TransferError::Whole {
                    path: path.to_owned(),
                });
            }
            NextRecord::Cut => return Ok(Some((reader, resumed))),
        }
        if reader.records().is_multiple_of(PROGRESS_RECORDS) {
            (common.progress)(TransferProgress {
                stage: TransferStage::Resuming,
                done: reader.bytes(),
                of,
                commits: reader.records(),
            });
        }
    }
}
