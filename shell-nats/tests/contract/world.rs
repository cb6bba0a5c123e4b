//! Random requests to the model and to real servers: one server, or three with replicated streams.

use crate::Run;
use crate::alphabet::{Alphabet, Random};
use crate::relation::{Observed, Relation};
use crate::table::Table;
use futures_util::future::join_all;
use std::future::Future;
use std::time::Duration;
use tenure_core::driver::Shell as _;
use tenure_core::id::WallTime;
use tenure_core::port::{Capabilities, Refused, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::{Outcome, Span, Time};
use tenure_mem::store::StoreConfig;
use tenure_nats::NatsShell;

/// How many requests or bursts go to one set of streams.
const ASKS_PER_ROUND: usize = 250;
/// How long a world may look for a row that it has not seen.
const PATIENCE: Span = Span::from_secs(120);

/// Runs a world to its end on a runtime of its own.
pub(crate) fn block_on<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(world)
}

/// Random requests until each row that they can reach was seen.
pub(crate) async fn random(url: &str, replicas: u32, run: Run) -> Table {
    let Run { seed, rounds_min } = run;
    let replicated = replicas > 1;
    let world = if replicated { "R3" } else { "R1" };
    let shell = NatsShell::connect(url).await.expect("the server is there");
    let mut random = Random::new(seed ^ u64::from(replicas));
    let mut table = Table::default();
    let began = shell.now();
    let mut asked = 0;
    let mut stale = 0;
    for round in 0.. {
        let mut alphabet = Alphabet::new(round, replicas);
        let mut relation = Relation::new(config(&shell).await, replicated);
        let told = |text: String| panic!("{world}, TENURE_SEED={seed}, round {round}: {text}");
        create(&shell, &alphabet, &mut relation, &mut table)
            .await
            .unwrap_or_else(told);
        for _ in 0..ASKS_PER_ROUND {
            let count = if random.permille(700) {
                1
            } else {
                2 + random.below(3)
            };
            let requests = match count {
                1 => vec![alphabet.request(&mut random, relation.state())],
                _ => alphabet.burst(count, &mut random, relation.state()),
            };
            asked += count;
            let (from, to, seen) = ask(&shell, requests).await;
            relation
                .observe(from, to, &seen, &mut table)
                .unwrap_or_else(told);
        }
        stale += relation.stale;
        let missing = table.missing(replicated);
        if round + 1 < rounds_min {
            continue;
        }
        if missing.is_empty() {
            break;
        }
        assert!(
            shell.now().since(began) < PATIENCE,
            "{world}, TENURE_SEED={seed}: random requests never saw {missing:?}"
        );
    }
    let took = shell.now().since(began);
    println!("{world}: {asked} random requests in {took}, {stale} answers from old state");
    table
}

/// Asks all at once, and says between which times that was.
///
/// A cluster of which a server was not heard for a moment refuses to place a stream (10005); that
/// says nothing about streams, and nothing was done, so it is left out.
pub(crate) async fn ask(
    shell: &NatsShell,
    requests: Vec<StoreRequest>,
) -> (WallTime, WallTime, Vec<Observed>) {
    let from = shell.wall();
    let replies = join_all(requests.iter().map(|request| shell.store(request.clone()))).await;
    let to = shell.wall();
    let seen = requests.into_iter().zip(replies);
    (
        from,
        to,
        seen.filter(|(_, reply)| !has_lost_peers(reply))
            .map(|(request, reply)| Observed { request, reply })
            .collect(),
    )
}

/// More replicas than there are servers are refused with the same number, but other words.
fn has_lost_peers(reply: &StoreReply) -> bool {
    match reply {
        Outcome::Refused(Refused::Other { code: 10_005, text }) => text.contains("peer offline"),
        Outcome::Refused(_) | Outcome::Done(_) | Outcome::Unknown => false,
    }
}

/// A model of what the shell is connected to.
pub(crate) async fn config(shell: &NatsShell) -> StoreConfig {
    let Outcome::Done(StoreDone::Capabilities(capabilities)) =
        shell.store(StoreRequest::Capabilities).await
    else {
        panic!("the server does not say what it is");
    };
    let Capabilities { clustered, .. } = capabilities;
    let mut config = if clustered {
        StoreConfig::clustered(3)
    } else {
        StoreConfig::default()
    };
    config.capabilities = capabilities;
    config.removed_max = 10_000;
    config
}

/// Creates a round's streams, and waits until their replicas answer.
async fn create(
    shell: &NatsShell,
    alphabet: &Alphabet,
    relation: &mut Relation,
    table: &mut Table,
) -> Result<(), String> {
    for settings in &alphabet.streams {
        let request = StoreRequest::CreateStream(settings.clone());
        until(shell, &request, |reply| !has_lost_peers(reply)).await;
        let (from, to, seen) = ask(shell, vec![request]).await;
        relation.observe(from, to, &seen, table)?;
        if settings.allow_direct {
            let subjects = vec!["nobody".into()];
            let latest = StoreRequest::Latest {
                stream: settings.name.clone(),
                subjects,
            };
            let answered = |reply: &StoreReply| *reply == Outcome::Refused(Refused::NotFound);
            until(shell, &latest, answered).await;
        }
    }
    Ok(())
}

/// Asks again until an answer is as it must become.
pub(crate) async fn until(
    shell: &NatsShell,
    request: &StoreRequest,
    wanted: impl Fn(&StoreReply) -> bool,
) -> StoreReply {
    let deadline: Time = shell.now() + Span::from_secs(60);
    loop {
        let reply = shell.store(request.clone()).await;
        if wanted(&reply) {
            return reply;
        }
        assert!(
            shell.now() < deadline,
            "{request:?} is still answered {reply:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
