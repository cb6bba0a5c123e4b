//! Accounts of a bank, kept as events: a few commands, and then the balances read back by replay
//! where nothing but the log is left of them.

use clap::{Parser, ValueEnum};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use tenure::{CommandId, Metadata, NatsOptions, NatsShell, Repository, Tenure, Version, WallTime};
use tenure_examples::account::{Account, AccountEvent, Deposit, Open, Withdraw};
use tenure_examples::cli::{failed, first_paragraph};
use tenure_nats_server::NatsServer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Accounts of a bank, kept as events.
///
/// Opens alice, bob and charlie with 100 each, deposits 50 to alice and 200 to charlie, withdraws 30
/// from bob. Then the balances are read back by replay: with NATS by a second process, in memory by
/// a second node on the same store.
///
/// It may be run again in the same namespace: each command has an id, and takes effect once.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where the events are kept: in memory, or on a nats-server that is started for this run alone
    #[arg(long, value_enum, default_value_t = Shell::Mem, conflicts_with = "nats")]
    shell: Shell,
    /// A running nats-server with JetStream, such as nats://localhost:4222
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// The user at the nats-server
    #[arg(long, requires = "password", requires = "nats")]
    user: Option<String>,
    /// The user's password
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// A file with the user's credentials for the nats-server
    #[arg(long, value_name = "FILE", conflicts_with = "user", requires = "nats")]
    creds: Option<PathBuf>,
    /// What the names of its streams begin with
    #[arg(long, default_value = "accounting")]
    namespace: String,
    /// Only read the balances back: what the second process is started with
    #[arg(long, hide = true)]
    read_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Mem,
    Nats,
}

type Failure = Box<dyn Error>;

const OWNERS: [&str; 3] = ["alice", "bob", "charlie"];

async fn run(mut options: Options) -> Result<(), Failure> {
    // Dropped, and with it the server stopped, when all is done.
    let _server = match options.shell {
        Shell::Mem => None,
        Shell::Nats => {
            let server = NatsServer::start()?;
            options.nats = Some(server.url());
            Some(server)
        }
    };
    let tenure = start(&options).await?;
    if options.read_back {
        println!("read back by process {}:", std::process::id());
        read_back(&tenure).await?;
    } else if options.nats.is_some() {
        keep_accounts(&tenure).await?;
        read_back_elsewhere(&options).await?;
    } else {
        keep_accounts(&tenure).await?;
        let second = start(&options).await?;
        println!("read back by a second node:");
        read_back(&second).await?;
        second.stop().await;
    }
    tenure.stop().await;
    Ok(())
}

/// The place is a value; the rest of the program is the same wherever it runs.
async fn start(options: &Options) -> Result<Tenure, Failure> {
    let builder = Tenure::builder().namespace(&options.namespace);
    let Some(url) = &options.nats else {
        return Ok(builder.start("mem:accounting").await?);
    };
    let mut nats = NatsOptions::new(url).name("accounting");
    if let (Some(user), Some(password)) = (&options.user, &options.password) {
        nats = nats.user(user, password);
    }
    if let Some(file) = &options.creds {
        nats = nats.creds_file(file);
    }
    Ok(builder.start_with(NatsShell::connect(nats).await?).await?)
}

async fn keep_accounts(tenure: &Tenure) -> Result<(), Failure> {
    let accounts = tenure.repository::<Account>().await?;
    for (owner, step) in OWNERS.into_iter().zip(1..) {
        let open = accounts.create(owner, Open { balance: 100 }).id(id(step));
        let opened = open.receipt().await?;
        let again = if opened.duplicate {
            ", by an earlier run"
        } else {
            ""
        };
        println!("opened {owner} with {}{again}", opened.reply);
    }
    // What is said of a command is stored beside its events.
    let alice = accounts
        .execute("alice", Deposit { amount: 50 })
        .id(id(4))
        .metadata(Metadata::new().header("teller", "Zoë"))
        .await?;
    println!("deposited 50 to alice, now {alice}");
    let bob = accounts
        .execute("bob", Withdraw { amount: 30 })
        .id(id(5))
        .await?;
    println!("withdrew 30 from bob, now {bob}");
    let charlie = accounts
        .execute("charlie", Deposit { amount: 200 })
        .id(id(6))
        .await?;
    println!("deposited 200 to charlie, now {charlie}");
    look_back(&accounts).await
}

/// What an account was, and who made it what it is.
async fn look_back(accounts: &Repository<Account>) -> Result<(), Failure> {
    let then = accounts.load_at("alice", Version(1)).await?;
    println!("alice had {} at version 1", then.state.balance()?);
    let mut deposits = accounts.history("alice")?.events(["deposited"]).backward();
    while let Some(past) = deposits.next().await? {
        if let AccountEvent::Deposited { amount } = past.event {
            let teller = past.metadata().header_value("teller").unwrap_or("nobody");
            println!("alice got {amount} from {teller}");
        }
    }
    Ok(())
}

/// The id of a step. It is the same in every run, so that a second run gets the first one's replies
/// and changes nothing. Without an id of one's own each command gets a fresh one.
fn id(step: u128) -> CommandId {
    const WRITTEN: WallTime = WallTime(1_700_000_000_000);
    CommandId::new(WRITTEN, step)
}

async fn read_back(tenure: &Tenure) -> Result<(), Failure> {
    let accounts = tenure.repository::<Account>().await?;
    for owner in OWNERS {
        let account = accounts.load(owner).await?;
        println!("{owner} {}", account.state.balance()?);
    }
    Ok(())
}

/// Starts this program a second time; what it prints goes where ours goes.
async fn read_back_elsewhere(options: &Options) -> Result<(), Failure> {
    let mut second = tokio::process::Command::new(std::env::current_exe()?);
    second.args(["--read-back", "--namespace", &options.namespace]);
    second.args(options.nats.iter().flat_map(|url| ["--nats", url]));
    second.args(options.user.iter().flat_map(|user| ["--user", user]));
    second.args(
        options
            .password
            .iter()
            .flat_map(|password| ["--password", password]),
    );
    if let Some(file) = &options.creds {
        second.arg("--creds").arg(file);
    }
    let status = second.status().await?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the second process could not read the balances back ({status})").into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Nothing is logged unless `RUST_LOG` says so, such as `RUST_LOG=debug`.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .init();
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}
