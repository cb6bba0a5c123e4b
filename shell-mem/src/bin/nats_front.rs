//! A server that speaks the NATS protocol over the model store: `nats_front --port 4333`. What it stores is
//! in memory and ends with it. Asked to end (`SIGTERM`, elsewhere Ctrl-C) it tells its clients, and ends when
//! they are gone or after ten seconds.

use std::env;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use tenure_mem::nats::{Front, FrontConfig, Listener};
use tokio::net::{TcpListener, lookup_host};

const USAGE: &str = "usage: nats_front [--port PORT] [--host HOST] [--seed NUMBER]";

const HELP: &str = "A server that speaks the NATS protocol and stores in memory.

  --port PORT    where it listens (4222; 0 leaves it to the operating system)
  --host HOST    the name or address at which it listens (127.0.0.1)
  --seed NUMBER  what its chance is drawn from (0)
  --help         tells this

SIGTERM has it tell its clients and end when they are gone, or after ten seconds; a second one ends it at once.";

/// What the program is to do.
enum Told {
    Help,
    Serve(Box<FrontConfig>),
}

/// What the program is told.
fn told(mut words: impl Iterator<Item = String>) -> Result<Told, String> {
    let mut config = FrontConfig::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value; {USAGE}"));
        match word.as_str() {
            "--help" | "-h" => return Ok(Told::Help),
            "--port" => config.port = read(&word, &value()?)?,
            "--host" => config.host = value()?,
            "--seed" => config.seed = read(&word, &value()?)?,
            other => return Err(format!("{other:?} is unknown; {USAGE}")),
        }
    }
    Ok(Told::Serve(Box::new(config)))
}

fn read<T: std::str::FromStr>(word: &str, value: &str) -> Result<T, String> {
    let wrong = format!("{word} {value:?} is not a number that fits; {USAGE}");
    value.parse().map_err(|_| wrong)
}

fn run() -> Result<(), String> {
    let config = match told(env::args().skip(1))? {
        Told::Help => {
            println!("{USAGE}\n\n{HELP}");
            return Ok(());
        }
        Told::Serve(config) => *config,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let all = addresses(&config).await?;
        let served = listen(config, &all).await;
        served.map_err(|error| format!("{} cannot be listened to: {error}", words(&all)))
    })
}

/// Where a host and a port are.
async fn addresses(config: &FrontConfig) -> Result<Vec<SocketAddr>, String> {
    let FrontConfig { host, port, .. } = config;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let found = lookup_host((bare.unwrap_or(host), *port)).await;
    let found: Vec<SocketAddr> = found.map_or_else(|_| Vec::new(), Iterator::collect);
    if found.is_empty() {
        return Err(format!(
            "--host {host:?} is no address, and no name of one; {USAGE}"
        ));
    }
    Ok(found)
}

fn words(all: &[SocketAddr]) -> String {
    let all: Vec<String> = all.iter().map(SocketAddr::to_string).collect();
    all.join(", ")
}

/// Serves at the first address that can be listened to, whose port may be left to the operating system, and
/// says where.
async fn listen(mut config: FrontConfig, all: &[SocketAddr]) -> io::Result<()> {
    let socket = TcpListener::bind(all).await?;
    let at = socket.local_addr()?;
    config.port = at.port();
    let mut asked = Asked::new()?;
    let listener = Listener::new(Front::new(config));
    println!("listening at nats://{at}");
    let mut serving = pin!(listener.serve(socket));
    tokio::select! {
        biased;
        () = asked.next() => listener.lame_duck(),
        served = &mut serving => return served,
    }
    tokio::select! {
        biased;
        () = asked.next() => Ok(()),
        served = serving => served,
    }
}

/// The requests to end that the operating system passes on.
#[cfg(unix)]
struct Asked(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Asked {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            pending().await
        }
    }
}

#[cfg(not(unix))]
struct Asked;

#[cfg(not(unix))]
impl Asked {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending().await
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
