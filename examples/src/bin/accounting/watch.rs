//! The live table of balances: a projection in a process of its own, which may be killed and goes on.

use super::{Failure, Options, PATIENCE, start};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::Stdio;
use std::time::Duration;
use tenure::Tenure;
use tenure::consumer::Consumed;
use tenure::projection::{Memory, Projection, Snapshots};
use tenure_examples::account::{Account, AccountEvent, Balance, Deposit, Withdraw};
use tenure_examples::end;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How often the table is drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// So many tables of a process are shown before it is killed, and of the next one before no more money is
/// moved.
const TABLES: usize = 5;

/// What the last line of a watching process begins with.
const FINAL: &str = "balances at the end: ";

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Balances(BTreeMap<String, u64>);

fn fold(balances: &mut Balances, event: &Consumed<AccountEvent>) {
    let balance = balances
        .0
        .entry(event.id().as_str().to_owned())
        .or_default();
    match event.event {
        AccountEvent::Opened { balance: opened } => *balance = opened,
        AccountEvent::Deposited { amount } => *balance += amount,
        AccountEvent::Withdrawn { amount } => *balance -= amount,
    }
}

impl Balances {
    fn line(&self) -> String {
        let balances = self.0.iter().map(|(id, balance)| format!("{id} {balance}"));
        balances.collect::<Vec<_>>().join(", ")
    }

    /// A row for each account, over the rows that were drawn before.
    fn draw(&self, drawn: usize) -> std::io::Result<usize> {
        let mut out = std::io::stdout().lock();
        if drawn > 0 {
            write!(out, "\x1b[{drawn}A")?;
        }
        for (id, balance) in &self.0 {
            writeln!(out, "\x1b[2K{id:<20} {balance:>12}")?;
        }
        out.flush()?;
        Ok(self.0.len())
    }
}

/// Shows the balances until it is asked to end, by a signal or by the end of its input.
pub(super) async fn table(options: &Options) -> Result<(), Failure> {
    // Nothing is asked of the input of a person, which may be closed.
    let asked = end::asked_to(options.watching)?;
    let tenure = start(Tenure::builder(), options).await?;
    let snapshots = Snapshots {
        every: 50,
        within: Duration::from_millis(200),
    };
    let memory = Memory::<Balances>::with(snapshots);
    let projection = tenure.projection("balances", memory).fold::<Account>(fold);
    let projection = projection.start().await?;
    projection.live().await?;
    let status = projection.store().status();
    match status.restored {
        true => println!("went on from a snapshot, {} events later", status.folded),
        false => println!("began with the first of {} events", status.folded),
    }
    tokio::select! {
        biased;
        () = asked => {}
        shown = show(&projection) => shown?,
        ended = projection.ended() => ended?,
    }
    projection.stop().await?;
    println!("{FINAL}{}", projection.read(Balances::line));
    tenure.stop().await;
    Ok(())
}

/// Draws the table whenever it has changed: in place on a terminal, else a line.
async fn show(projection: &Projection<Memory<Balances>>) -> Result<(), Failure> {
    let terminal = std::io::stdout().is_terminal();
    let (mut shown, mut drawn) = (None, 0);
    loop {
        let now = projection.read(Clone::clone);
        if shown.as_ref() != Some(&now) {
            match terminal {
                true => drawn = now.draw(drawn)?,
                false => println!("{}", now.line()),
            }
            shown = Some(now);
        }
        tokio::time::sleep(DRAW_EVERY).await;
    }
}

/// Moves money while another process shows the balances. That process is killed with SIGKILL meanwhile, and
/// started again; its last table is held against the accounts.
pub(super) async fn killed_and_started_again(options: &Options) -> Result<(), Failure> {
    let tenure = start(Tenure::builder(), options).await?;
    let over = Cell::new(false);
    let killed = async {
        let mut first = Watcher::start(options).await?;
        first.tables(TABLES).await?;
        first.child.kill().await?;
        println!("killed process {} while money is moved", first.id);
        let mut second = Watcher::start(options).await?;
        second.tables(TABLES).await?;
        over.set(true);
        Ok(second)
    };
    let ((), mut watcher) = tokio::try_join!(move_money(&tenure, &over), killed)?;
    let mut balances = Balances::default();
    for owner in super::OWNERS {
        let read = tenure
            .entity::<Account>(owner)
            .read(Balance)
            .served()
            .await?;
        balances.0.insert(owner.to_owned(), read.answer.reply?);
    }
    watcher.shows(&balances.line()).await?;
    let told = watcher.finish().await?;
    if told != balances.line() {
        return Err(format!("the table says {told}, the accounts {}", balances.line()).into());
    }
    println!("the table is right");
    tenure.stop().await;
    Ok(())
}

/// Moves money until it is told that it is over.
async fn move_money(tenure: &Tenure, over: &Cell<bool>) -> Result<(), Failure> {
    for n in (1..=100).cycle() {
        if over.get() {
            break;
        }
        // Not all of it goes round.
        let interest = Deposit { amount: n };
        tenure.entity::<Account>("alice").ask(interest).await?;
        for (owner, other) in [("alice", "bob"), ("bob", "charlie"), ("charlie", "alice")] {
            let amount = n % 5 + 1;
            let account = |id| tenure.entity::<Account>(id);
            account(owner).ask(Withdraw { amount }).await?;
            account(other).ask(Deposit { amount }).await?;
        }
    }
    Ok(())
}

/// The other process.
#[derive(Debug)]
struct Watcher {
    id: u32,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    /// Starts one, and waits until it has caught up.
    async fn start(options: &Options) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--watching", "--namespace", &options.namespace]);
        command.args(options.nats.iter().flat_map(|url| ["--nats", url]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let id = child.id().ok_or("the process ended at once")?;
        let lines = child.stdout.take().ok_or("a process without an output")?;
        let lines = BufReader::new(lines).lines();
        let mut this = Self { id, child, lines };
        println!("process {id} {}", this.line().await?);
        Ok(this)
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.map_err(|_| "the other process shows nothing")??;
        line.ok_or_else(|| "the other process ended".into())
    }

    /// Passes on the next tables that it shows.
    async fn tables(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            println!("{}", self.line().await?);
        }
        Ok(())
    }

    /// Passes on what it shows until that is this table.
    async fn shows(&mut self, table: &str) -> Result<(), Failure> {
        loop {
            let line = self.line().await?;
            println!("{line}");
            if line == table {
                return Ok(());
            }
        }
    }

    /// Has it end; the last table.
    async fn finish(mut self) -> Result<String, Failure> {
        drop(self.child.stdin.take());
        loop {
            let line = self.line().await?;
            if let Some(table) = line.strip_prefix(FINAL) {
                self.child.wait().await?;
                return Ok(table.to_owned());
            }
        }
    }
}
