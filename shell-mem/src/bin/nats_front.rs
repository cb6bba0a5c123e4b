//! A server that speaks the NATS protocol over the model store: `nats_front --port 4333`. What it stores is
//! in memory and ends with it.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use tenure_mem::nats::{Front, FrontConfig, Listener};
use tokio::net::TcpListener;

const USAGE: &str = "usage: nats_front [--port PORT] [--host ADDRESS] [--seed NUMBER]";

/// What the program is told.
fn settings(mut words: impl Iterator<Item = String>) -> Result<FrontConfig, String> {
    let mut config = FrontConfig::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value; {USAGE}"));
        match word.as_str() {
            "--port" => config.port = read(&word, &value()?)?,
            "--host" => config.host = value()?,
            "--seed" => config.seed = read(&word, &value()?)?,
            other => return Err(format!("{other:?} is unknown; {USAGE}")),
        }
    }
    Ok(config)
}

fn read<T: std::str::FromStr>(word: &str, value: &str) -> Result<T, String> {
    let wrong = format!("{word} {value:?} is not a number that fits; {USAGE}");
    value.parse().map_err(|_| wrong)
}

fn run() -> Result<(), String> {
    let config = settings(env::args().skip(1))?;
    let at = format!("{}:{}", config.host, config.port);
    let at: SocketAddr = at
        .parse()
        .map_err(|_| format!("{at:?} is not an address; {USAGE}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let served = runtime.block_on(listen(config, at));
    served.map_err(|error| format!("{at} cannot be listened to: {error}"))
}

/// Serves at an address, which may leave the port to the operating system, and says where.
async fn listen(mut config: FrontConfig, at: SocketAddr) -> io::Result<()> {
    let socket = TcpListener::bind(at).await?;
    let at = socket.local_addr()?;
    config.port = at.port();
    println!("listening at nats://{at}");
    Listener::new(Front::new(config)).serve(socket).await
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
