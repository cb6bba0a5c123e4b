//! Accounts of a bank, kept as events by a cluster of three nodes: a few commands, each answered by
//! the node that owns its account, and then the balances read back by replay where nothing but the
//! log is left of them.

mod watch;

use clap::{Parser, ValueEnum};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tenure::model::{ActorModel, Model, ReadModel};
use tenure::{
    Builder, Cluster, ClusterView, CommandId, Metadata, NatsOptions, NatsShell, Receipt, Served,
    TakeOver, Tenure, Version, WallTime,
};
use tenure_examples::account::{
    Account, AccountEvent, Balance, Deposit, Open, Promise, Transfer, Withdraw,
};
use tenure_examples::cli::{ended, failed, first_paragraph};
use tenure_nats_server::NatsServer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Accounts of a bank, kept as events by a cluster of three nodes in this process.
///
/// Opens alice, bob and charlie with 100 each, deposits 50 to alice and 200 to charlie, withdraws 30
/// from bob; lends 20 of alice to bob by a message from account to account, which bob pays back when a
/// reminder is due; tries what an account refuses; and asks for the balances. What
/// was done or read names the node that did it. Then the nodes stop, and the balances are read back by replay: with NATS by a second
/// process, in memory by another node on the same store.
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
    /// Only print what the program consists of: as JSON with the schemas of its events, or as a Mermaid chart
    #[arg(long, value_enum, value_name = "FORM")]
    model: Option<Form>,
    /// Show a live table of the balances. With --nats those of a namespace, until Ctrl-C; with --shell nats
    /// while money is moved, by a process that is killed halfway and started again
    #[arg(long)]
    watch: bool,
    /// Show the table until the input ends: what the process is started with that is killed
    #[arg(long, hide = true)]
    watching: bool,
    /// Only read the balances back: what the second process is started with
    #[arg(long, hide = true)]
    read_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Mem,
    Nats,
}

/// How the model is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Mermaid,
}

type Failure = Box<dyn Error>;

const OWNERS: [&str; 3] = ["alice", "bob", "charlie"];

const NODES: [&str; 3] = ["node-0", "node-1", "node-2"];

/// How long the nodes have to share the shards among them.
const PATIENCE: Duration = Duration::from_secs(30);

async fn run(mut options: Options) -> Result<(), Failure> {
    if let Some(form) = options.model {
        return print_model(form);
    }
    if options.watch && options.shell == Shell::Mem && options.nats.is_none() {
        let why = "a table that goes on after a kill needs a log outside of its process";
        return Err(format!("{why}: add --shell nats, or --nats with a running server").into());
    }
    if options.watching || options.watch && options.nats.is_some() {
        return watch::table(&options).await;
    }
    // Dropped, and with it the server stopped, when all is done.
    let _server = match options.shell {
        Shell::Mem => None,
        Shell::Nats => {
            let server = NatsServer::start()?;
            options.nats = Some(server.url());
            Some(server)
        }
    };
    if options.read_back {
        println!("read back by process {}:", std::process::id());
        return read_back(&options).await;
    }
    let nodes = start_cluster(&options).await?;
    keep_accounts(&nodes).await?;
    lend(&nodes).await?;
    refuse_nonsense(&nodes).await?;
    tell_balances(&nodes).await?;
    look_back(&nodes).await?;
    for node in &nodes {
        node.stop().await;
    }
    if options.watch {
        return watch::killed_and_started_again(&options).await;
    }
    if options.nats.is_some() {
        read_back_elsewhere(&options).await
    } else {
        println!("read back by another node:");
        read_back(&options).await
    }
}

/// The kinds say what they take and what can happen; who decides is said here.
fn print_model(form: Form) -> Result<(), Failure> {
    let teller = ActorModel::new("teller");
    let teller = ["open", "deposit", "withdraw"]
        .into_iter()
        .fold(teller, |teller, command| teller.issues("account", command));
    let owner = ActorModel::new("owner").issues("account", "transfer");
    let model = Model::new("accounting")
        .entity::<Account>()
        .schemas::<Account>()
        .read_model(ReadModel::new("balances").of_kind::<Account>())
        .actor(teller)
        .actor(owner.issues("account", "promise").reads("balances"));
    model.check()?;
    match form {
        Form::Json => println!("{}", model.to_json()),
        Form::Mermaid => print!("{}", model.to_mermaid()),
    }
    Ok(())
}

/// The place is a value; the rest of the program is the same wherever it runs.
async fn start(builder: Builder, options: &Options) -> Result<Tenure, Failure> {
    let builder = builder.namespace(&options.namespace).shards(64);
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

/// Three nodes, once each owns its share of the shards.
async fn start_cluster(options: &Options) -> Result<Vec<Tenure>, Failure> {
    let mut nodes = Vec::new();
    for name in NODES {
        let cluster = Cluster::named(name).settle(Duration::from_millis(50));
        let builder = Tenure::builder().cluster(cluster).serve::<Account>();
        nodes.push(start(builder, options).await?);
    }
    for node in &nodes {
        let cluster = node.cluster().ok_or("a node is in no cluster")?;
        let shared = |view: &ClusterView| {
            view.is_served(TakeOver::Fenced) && view.owned(TakeOver::Fenced).len() == NODES.len()
        };
        cluster.wait_until(PATIENCE, shared).await?;
    }
    for (node, name) in nodes.iter().zip(NODES) {
        let shards = node.node(name).info().await?.shards.len();
        println!("started {name} with {shards} shards");
    }
    Ok(nodes)
}

/// Every node is asked; the owner of an account's shard answers.
async fn keep_accounts(nodes: &[Tenure]) -> Result<(), Failure> {
    let [first, second, third] = nodes else {
        return Err("there are three nodes".into());
    };
    for ((owner, step), node) in OWNERS.into_iter().zip(1..).zip(nodes) {
        let account = node.entity::<Account>(owner);
        let open = account.ask(Open { balance: 100 }).creating().id(id(step));
        let opened = open.served().await?;
        let again = if opened.answer.duplicate {
            ", by an earlier run"
        } else {
            ""
        };
        let (balance, node) = (opened.answer.reply, opened.node);
        println!("opened {owner} with {balance}{again} ({node})");
    }
    // What is said of a command is stored beside its events.
    let alice = third.entity::<Account>("alice").ask(Deposit { amount: 50 });
    let alice = alice
        .id(id(4))
        .metadata(Metadata::new().header("teller", "Zoë"));
    told("deposited 50 to alice", alice.served().await?);
    let bob = first.entity::<Account>("bob").ask(Withdraw { amount: 30 });
    told("withdrew 30 from bob", bob.id(id(5)).served().await?);
    let charlie = second.entity::<Account>("charlie");
    let charlie = charlie.ask(Deposit { amount: 200 }).id(id(6));
    told("deposited 200 to charlie", charlie.served().await?);
    Ok(())
}

fn told(what: &str, served: Served<Receipt<u64>>) {
    println!("{what}, now {} ({})", served.answer.reply, served.node);
}

/// A message is stored with the commit that sends it, a reminder with the one that arms it; the owners
/// of the shards deliver and fire them.
async fn lend(nodes: &[Tenure]) -> Result<(), Failure> {
    let [first, second, third] = nodes else {
        return Err("there are three nodes".into());
    };
    let transfer = |to: &str| Transfer {
        to: to.to_owned(),
        amount: 20,
    };
    let alice = second.entity::<Account>("alice").ask(transfer("bob"));
    told("lent 20 to bob from alice", alice.id(id(7)).served().await?);
    arrived(first, "bob", Version(3), "20 from alice").await?;
    let bob = third.entity::<Account>("bob").ask(Promise {
        transfer: transfer("alice"),
        after_ms: 250,
    });
    let promised = bob.id(id(8)).served().await?;
    println!("bob pays 20 back in 250 ms ({})", promised.node);
    arrived(first, "alice", Version(4), "20 from bob, by a reminder").await
}

/// Asks an account until it is at a version.
async fn arrived(node: &Tenure, owner: &str, at: Version, what: &str) -> Result<(), Failure> {
    let account = node.entity::<Account>(owner);
    let arrives = async {
        loop {
            let read = account.read(Balance).served().await?;
            if read.answer.version >= at {
                println!("{owner} got {what} ({})", read.node);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let late = |_| format!("{owner} did not get {what} within {PATIENCE:?}");
    tokio::time::timeout(PATIENCE, arrives)
        .await
        .map_err(late)?
}

/// What an account refuses is the domain's own error, wherever its owner is.
async fn refuse_nonsense(nodes: &[Tenure]) -> Result<(), Failure> {
    let account = |n: usize, owner| nodes[n].entity::<Account>(owner);
    let tried = [
        (
            "500 from bob",
            account(0, "bob").ask(Withdraw { amount: 500 }).await,
        ),
        (
            "0 from alice",
            account(1, "alice").ask(Withdraw { amount: 0 }).await,
        ),
        (
            "5 from dora",
            account(2, "dora").ask(Withdraw { amount: 5 }).await,
        ),
    ];
    for (what, tried) in tried {
        match tried {
            Err(error) if error.rejected().is_some() => println!("no {what}: {error}"),
            other => return Err(format!("{what} came to {other:?}").into()),
        }
    }
    Ok(())
}

/// The balances as the owners tell them.
async fn tell_balances(nodes: &[Tenure]) -> Result<(), Failure> {
    for (owner, node) in OWNERS.into_iter().zip(nodes.iter().rev()) {
        let read = node.entity::<Account>(owner).read(Balance).served().await?;
        println!(
            "balance of {owner} is {} ({})",
            read.answer.reply?, read.node
        );
    }
    Ok(())
}

/// What an account was, and who made it what it is: the log can be read by every node.
async fn look_back(nodes: &[Tenure]) -> Result<(), Failure> {
    let accounts = nodes[0].repository::<Account>().await?;
    let then = accounts.load_at("alice", Version(1)).await?;
    println!("alice had {} at version 1", then.state.balance()?);
    let mut deposits = accounts.history("alice")?.events(["deposited"]).backward();
    while let Some(past) = deposits.next().await? {
        if let AccountEvent::Deposited { amount } = past.event {
            let teller = past.metadata().header_value("teller");
            let from = teller.unwrap_or("another account");
            println!("alice got {amount} from {from}");
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

/// Where nothing but the log is left of the accounts.
async fn read_back(options: &Options) -> Result<(), Failure> {
    let tenure = start(Tenure::builder(), options).await?;
    let accounts = tenure.repository::<Account>().await?;
    for owner in OWNERS {
        let account = accounts.load(owner).await?;
        println!("{owner} {}", account.state.balance()?);
    }
    tenure.stop().await;
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
    ended(run(options).await)
}
