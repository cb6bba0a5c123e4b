//! A user's own test on simulated clusters that fails: what it leaves, and how to get there again.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tenure_sim::{Seeds, Sim};

const NAME: &str = "what_fails_is_made_smaller_and_played_again";

/// The mistake: it counts on a node that is killed at some time.
async fn counts_on_a_node(sim: Sim) -> Result<(), &'static str> {
    let mut was_up = false;
    for _ in 0..200 {
        sim.sleep(Duration::from_millis(50)).await;
        match sim.node(0).is_some() {
            true => was_up = true,
            false if was_up => return Err("the node is gone"),
            false => {}
        }
    }
    Ok(())
}

fn seeds() -> Seeds {
    let seeds = Seeds::new(format!("users::{NAME}"), "tenure-sim");
    seeds.count(20).faults("kill")
}

/// What this test says when it runs as a program with this in its environment.
fn told(variable: &str, value: &str) -> String {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([NAME, "--exact", "--nocapture"]);
    let output = command.env(variable, value).output();
    let output = output.expect("it starts");
    assert!(!output.status.success(), "it fails there, too");
    let (out, err) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&[out, err].concat()).into_owned()
}

#[test]
fn what_fails_is_made_smaller_and_played_again() {
    let given = |name: &str| std::env::var_os(name).is_some();
    if given("TENURE_SIM_MINIMIZE") || given("TENURE_SIM_REPRO") {
        return seeds().run(|cluster| cluster.nodes(2), counts_on_a_node);
    }
    let found = seeds().find(|cluster| cluster.nodes(2), counts_on_a_node);
    let whole = found.expect("a node that is killed").to_string();
    assert!(whole.contains("\n  repro: /"), "{whole}");

    let smaller = told("TENURE_SIM_MINIMIZE", "1");
    assert!(smaller.contains("smaller: 1 of "), "{smaller}");
    let file = smaller.split("TENURE_SIM_REPRO=").nth(1);
    let file = file.and_then(|rest| rest.split(' ').next());
    let file = file.expect("the smaller repro");
    let page = std::fs::read_to_string(file.replace(".repro", ".html"));
    let page = page.expect("its page");
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("VIOLATION test: "), "its end is on it");

    let again = told("TENURE_SIM_REPRO", file);
    assert!(again.contains("the node is gone"), "{again}");
    assert!(again.contains("FAULT kill"), "it is printed: {again}");

    // Only the test knows what it does.
    let mut sim = Command::new(env!("CARGO_BIN_EXE_tenure-sim"));
    let refused = sim.args(["explain", file]).output().expect("it starts");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains(&format!("TENURE_SIM_REPRO={file} cargo test")),
        "{told}"
    );
}

#[test]
fn a_test_that_rests_on_something_else_than_its_seed_is_told_so() {
    let runs = AtomicU64::new(0);
    let seeds = Seeds::new("users::other", "tenure-sim").count(1);
    let found = seeds.faults("calm").find(
        |cluster| cluster.nodes(1),
        |sim| {
            let before = runs.fetch_add(1, Ordering::Relaxed);
            async move { sim.sleep(Duration::from_millis(1 + before)).await }
        },
    );
    let told = found.expect("two runs that differ").to_string();
    assert!(told.contains("does not do the same again"), "{told}");
}

#[test]
fn a_test_that_never_ends_fails_after_a_stated_time() {
    let seeds = || {
        Seeds::new("users::never", "tenure-sim")
            .count(1)
            .faults("calm")
    };
    let waits = seeds().find(
        |cluster| cluster.nodes(1).within(Duration::from_secs(20)),
        |sim| async move {
            // Nobody starts it.
            while sim.node(7).is_none() {
                sim.sleep(Duration::from_millis(50)).await;
            }
        },
    );
    let told = waits.expect("a test that waits for ever").to_string();
    assert!(told.contains("has not ended after 20"), "{told}");
    let spins = seeds().find(
        |cluster| cluster.nodes(1),
        |_| {
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        },
    );
    let told = spins.expect("a test in which no time passes").to_string();
    assert!(told.contains("no simulated time passes"), "{told}");
}
