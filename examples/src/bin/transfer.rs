//! Moves namespaces: exports one to a file, imports a file into a new one, and compares both.

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tenure::transfer::{
    ExportFormat, ExportOptions, ImportOptions, TransferError, TransferFault, TransferProgress,
    TransferReport, TransferStage, VerifyOptions,
};
use tenure::{NatsOptions, SpaceError, Tenure, TenureError};
use tenure_examples::Failure;

/// Exports a namespace to a file, imports a file into a new namespace, compares both.
///
/// A run that was ended goes on where it was when it is begun again. The exit code is 0 when all is done, 2
/// for a wrong command line, 3 when the file is not whole, was altered or is another one, 4 when the namespace
/// cannot be used for it, 5 when file and namespace differ, and 1 for everything else, such as a server that
/// is away or full: then the same can be run again.
#[derive(Debug, Parser)]
#[command(name = "transfer")]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes a namespace, or a part of it, to a file
    Export {
        #[command(flatten)]
        common: Common,
        /// How the file is written; one that is continued keeps its format
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
        /// Only entities of this kind; may be given several times
        #[arg(long)]
        kind: Vec<String>,
        /// Only this entity, as KIND/ID; may be given several times
        #[arg(long, value_name = "KIND/ID", value_parser = entity)]
        entity: Vec<(String, String)>,
    },
    /// Makes a namespace of a file, and verifies it
    Import {
        #[command(flatten)]
        common: Common,
        /// How many shards it gets; as many as the exported one by default
        #[arg(long)]
        shards: Option<u16>,
        /// How many event streams it gets
        #[arg(long)]
        streams: Option<u16>,
        /// How many servers hold each stream at least
        #[arg(long)]
        replicas: Option<u32>,
    },
    /// Compares a namespace, which nobody wrote to since, with a file
    Verify {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Debug)]
struct Common {
    /// The namespace
    #[arg(long)]
    namespace: String,
    /// The server, or several with commas between
    #[arg(long, default_value = "nats://localhost:4222")]
    nats: String,
    /// A file with the user's credentials
    #[arg(long)]
    creds: Option<PathBuf>,
    /// After how many seconds without any progress it gives up
    #[arg(long, default_value_t = 60)]
    patience_s: u64,
    /// Print one line of JSON at the end
    #[arg(long)]
    json: bool,
    /// The file
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// JSON lines
    Json,
    /// A CBOR sequence (RFC 8742)
    Cbor,
}

fn entity(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, id)) => Ok((kind.to_owned(), id.to_owned())),
        None => Err("it is KIND/ID".to_owned()),
    }
}

impl Common {
    fn place(&self) -> NatsOptions {
        let nats = NatsOptions::new(&self.nats);
        match &self.creds {
            Some(file) => nats.creds_file(file),
            None => nats,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_s)
    }
}

/// Shows how far it is: a bar on a terminal, nothing elsewhere.
fn shown() -> impl FnMut(TransferProgress) + Send + 'static {
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = "{msg:10} {bar:40} {percent:>3} %, {elapsed}, {eta} to go";
        let style = ProgressStyle::with_template(style).expect("a template that indicatif reads");
        ProgressBar::new(0).with_style(style)
    });
    move |now| {
        if let Some(bar) = &bar {
            bar.set_message(match now.stage {
                TransferStage::Resuming => "reading",
                TransferStage::Exporting => "exporting",
                TransferStage::Importing => "importing",
                TransferStage::Verifying => "verifying",
                _ => "",
            });
            bar.set_length(now.of);
            bar.set_position(now.done);
        }
    }
}

async fn run(what: &What) -> Result<TransferReport, Failure> {
    Ok(match what {
        What::Export {
            common,
            format,
            kind,
            entity,
        } => {
            let mut options = ExportOptions::new(&common.namespace)
                .format(match format {
                    Format::Json => ExportFormat::JsonLines,
                    Format::Cbor => ExportFormat::CborSequence,
                })
                .patience(common.patience())
                .progress(shown());
            for kind in kind {
                options = options.kind(kind)?;
            }
            for (kind, id) in entity {
                options = options.entity(kind, id)?;
            }
            Tenure::export(common.place(), options, &common.file).await?
        }
        What::Import {
            common,
            shards,
            streams,
            replicas,
        } => {
            let mut options = ImportOptions::new(&common.namespace)
                .patience(common.patience())
                .progress(shown());
            if let Some(shards) = shards {
                options = options.shards(*shards);
            }
            if let Some(streams) = streams {
                options = options.streams(*streams);
            }
            if let Some(replicas) = replicas {
                options = options.replicas(*replicas);
            }
            Tenure::import(common.place(), options, &common.file).await?
        }
        What::Verify { common } => {
            let options = VerifyOptions::new(&common.namespace)
                .patience(common.patience())
                .progress(shown());
            Tenure::verify(common.place(), options, &common.file).await?
        }
    })
}

/// What an error means to a script.
fn code(error: &Failure) -> u8 {
    let Some(TenureError::Transfer(error)) = error.downcast_ref() else {
        return 1;
    };
    let file = matches!(
        error,
        TransferError::File { .. }
            | TransferError::OtherExport { .. }
            | TransferError::Whole { .. }
    );
    // A server that is away says nothing of the namespace.
    let away = matches!(error, TransferError::Space(SpaceError::Timeout { .. }));
    let none = matches!(
        error,
        TransferError::NoNamespace { .. } | TransferError::Nothing { .. }
    );
    let space = none || matches!(error, TransferError::Space(_)) && !away;
    let differs = matches!(
        error,
        TransferError::Fault(
            TransferFault::Mismatch { .. }
                | TransferFault::Differs { .. }
                | TransferFault::DoesNotFollow { .. }
        )
    );
    match (file, space, differs) {
        (true, _, _) => 3,
        (_, true, _) => 4,
        (_, _, true) => 5,
        (false, false, false) => 1,
    }
}

fn told(what: &What, report: &TransferReport) {
    let (done, common) = match what {
        What::Export { common, .. } => ("exported", common),
        What::Import { common, .. } => ("imported", common),
        What::Verify { common } => ("verified", common),
    };
    let (totals, written) = (report.totals, report.written);
    if common.json {
        println!(
            "{}",
            json!({
                "done": done,
                "namespace": common.namespace,
                "file": common.file,
                "commits": totals.commits,
                "events": totals.events,
                "entities": totals.entities,
                "commands": totals.commands,
                "hash": format!("{:032x}", totals.hash),
                "written": written,
            })
        );
    } else {
        println!(
            "{done}: {} commits ({written} in this run) with {} events of {} entities, hash {:032x}",
            totals.commits, totals.events, totals.entities, totals.hash
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Options { what } = Options::parse();
    match run(&what).await {
        Ok(report) => {
            told(&what, &report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(code(&error))
        }
    }
}
