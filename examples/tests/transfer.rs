//! Export and import as processes, which are killed (SIGKILL) in the middle.

mod common;

use common::Program;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tenure::{Tenure, Version};
use tenure_examples::counter::{Add, Counter};
use tenure_nats_server::NatsServer;
use tokio::time::Instant;

const TRANSFER: Program = Program(env!("CARGO_BIN_EXE_transfer"));

/// So many commits that nobody moves them before it is looked whether some are there.
const ENTITIES: u64 = 200;
const EACH: u64 = 60;
const COMMITS: u64 = ENTITIES * EACH;

struct Scene {
    /// It ends with its scene.
    _server: NatsServer,
    url: String,
    file: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        // One that was never written need not go.
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Scene {
    async fn new(name: &str) -> Self {
        let server = NatsServer::start().expect("a nats-server");
        let url = server.url();
        let node = Tenure::builder()
            .namespace("bank")
            .start(&url)
            .await
            .unwrap();
        let counters = node.repository::<Counter>().await.unwrap();
        let fill = (0..ENTITIES).map(|n| {
            let counters = counters.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let add = counters.execute(format!("counter-{n}"), Add { amount: n });
                    add.await.unwrap();
                }
            })
        });
        for filled in fill.collect::<Vec<_>>() {
            filled.await.unwrap();
        }
        node.stop().await;
        let file = format!("tenure-transfer-{name}-{}", std::process::id());
        let file = std::env::temp_dir().join(file);
        Self {
            _server: server,
            url,
            file,
        }
    }

    fn arguments<'a>(&'a self, what: &'a str, namespace: &'a str) -> Vec<&'a str> {
        let file = self.file.to_str().expect("a path that is a text");
        let place = ["--namespace", namespace, "--nats", &self.url, file];
        [&[what], &place[..]].concat()
    }

    fn tells(&self, what: &str, namespace: &str) -> Value {
        TRANSFER.tells(&self.arguments(what, namespace))
    }

    fn starts(&self, what: &str, namespace: &str) -> Child {
        let mut command = Command::new(TRANSFER.0);
        command.args(self.arguments(what, namespace));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the example runs")
    }
}

/// Kills a process when it is so; whether it was killed before it ended by itself.
async fn killed(mut child: Child, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so().await {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not go on"
        );
        if child.try_wait().expect("a process").is_some() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let running = child.try_wait().expect("a process").is_none();
    // One that has ended cannot be killed.
    let _ = child.kill();
    child.wait().expect("a process");
    running
}

#[tokio::test]
async fn an_export_and_an_import_that_are_killed_go_on() {
    let scene = Scene::new("killed").await;
    let child = scene.starts("export", "bank");
    let file = scene.file.clone();
    let some = async || file.metadata().is_ok_and(|file| file.len() > 200_000);
    let was_killed = killed(child, some).await;
    let totals = if was_killed {
        let exported = scene.tells("export", "bank");
        assert!(exported["written"].as_u64() < Some(COMMITS), "{exported}");
        exported
    } else {
        // It was too fast: there is nothing to go on with, and what it wrote is whole.
        scene.tells("verify", "bank")
    };
    assert_eq!(totals["commits"], COMMITS, "{totals}");
    assert_eq!(totals["entities"], ENTITIES);

    let client = async_nats::connect(&scene.url).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let mut was_killed = false;
    for attempt in 0..5 {
        let namespace = format!("bank-{attempt}");
        let child = scene.starts("import", &namespace);
        let stream = format!("{namespace}_ev_0");
        let some = async || match context.get_stream(&stream).await {
            Ok(stream) => stream.cached_info().state.messages > 500,
            Err(_) => false,
        };
        if !killed(child, some).await {
            continue;
        }
        let imported = TRANSFER.run(&scene.arguments("import", &namespace));
        if imported.code == Some(4) {
            // All was stored when it was killed.
            continue;
        }
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let again = scene.tells("verify", &namespace);
        assert_eq!(again["hash"], totals["hash"]);
        let node = Tenure::builder().namespace(&namespace);
        let node = node.start(&scene.url).await.unwrap();
        let counters = node.repository::<Counter>().await.unwrap();
        let last = counters.load("counter-199").await.unwrap();
        assert_eq!(last.version, Version(EACH));
        was_killed = true;
        break;
    }
    assert!(was_killed, "no import was killed in the middle");
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_is_the_matter() {
    let scene = Scene::new("codes").await;
    let code = |arguments: &[&str]| TRANSFER.run(arguments).code;
    assert_eq!(code(&["export"]), Some(2));
    assert_eq!(code(&scene.arguments("export", "nowhere")), Some(4));
    assert_eq!(code(&scene.arguments("import", "bank-2")), Some(3));
    scene.tells("export", "bank");
    assert_eq!(code(&scene.arguments("export", "bank")), Some(3));
    assert_eq!(code(&scene.arguments("import", "bank")), Some(4));
    scene.tells("import", "bank-2");
    scene.tells("verify", "bank-2");
    let node = Tenure::builder()
        .namespace("bank-2")
        .start(&scene.url)
        .await
        .unwrap();
    let counters = node.repository::<Counter>().await.unwrap();
    counters
        .execute("counter-0", Add { amount: 1 })
        .await
        .unwrap();
    assert_eq!(code(&scene.arguments("verify", "bank-2")), Some(5));
    let whole = std::fs::read(&scene.file).unwrap();
    std::fs::write(&scene.file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(code(&scene.arguments("verify", "bank-2")), Some(3));
    let away = TRANSFER.run(&[
        "export",
        "--namespace",
        "bank",
        "--nats",
        "nats://127.0.0.1:9",
        "away.jsonl",
    ]);
    assert_eq!(away.code, Some(1), "{away:?}");
    assert_eq!(away.errors.lines().count(), 1);
}
