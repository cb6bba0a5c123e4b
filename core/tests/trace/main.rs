//! T1: text traces. A story is a script under `stories/`; its snapshot beside it holds each command
//! with what the machines did about it, and reads alone.

mod actors;
mod bank;
#[path = "../common/circle.rs"]
mod circle;
mod cluster;
mod consume;
mod group;
mod owners;
mod play;
mod route;
#[cfg(feature = "driver")]
mod saga;
mod show;
mod story;
mod toy;
mod world;

use std::sync::{Mutex, PoisonError};
use story::tell;

/// One test at a time: a glob's failures are counted for whichever test has begun one last.
static TURN: Mutex<()> = Mutex::new(());

/// Runs every script that matches and compares it with its snapshot.
macro_rules! stories {
    ($pattern:literal, $folder:literal, $stage:expr) => {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        insta::glob!($pattern, |path| {
            let script = std::fs::read_to_string(path).expect("a script that can be read");
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.expect("a script with a plain name");
            let mut settings = insta::Settings::clone_current();
            settings.set_prepend_module_to_snapshot(false);
            settings.set_snapshot_path($folder);
            settings.remove_snapshot_suffix();
            settings.set_omit_expression(true);
            settings.remove_input_file();
            let told = tell(name, &script, &mut $stage);
            settings.bind(|| insta::assert_snapshot!(name, told));
        });
    };
}

#[test]
fn the_step_contract() {
    stories!("stories/toy/*.txt", "stories/toy", toy::Road::new());
}

#[test]
fn the_log_in_direct_mode() {
    stories!(
        "stories/direct/*.txt",
        "stories/direct",
        world::World::new()
    );
}

#[test]
fn the_log_in_owned_mode() {
    stories!("stories/owned/*.txt", "stories/owned", world::World::new());
}

#[test]
fn timers_and_messages() {
    stories!("stories/later/*.txt", "stories/later", world::World::new());
}

#[test]
fn the_log_under_orders() {
    stories!(
        "stories/orders/*.txt",
        "stories/orders",
        world::World::new()
    );
}

#[test]
fn membership() {
    stories!(
        "stories/node/*.txt",
        "stories/node",
        cluster::Cluster::new()
    );
}

#[test]
fn who_owns_which_shard() {
    stories!(
        "stories/shard/*.txt",
        "stories/shard",
        owners::Cluster::new()
    );
}

#[test]
fn routing() {
    stories!("stories/route/*.txt", "stories/route", route::Switch::new());
}

#[test]
fn actors() {
    stories!(
        "stories/actor/*.txt",
        "stories/actor",
        actors::Theatre::new()
    );
}

#[test]
fn consumers() {
    stories!(
        "stories/consume/*.txt",
        "stories/consume",
        consume::Desk::new()
    );
}

#[test]
fn groups_of_consumers() {
    stories!(
        "stories/group/*.txt",
        "stories/group",
        circle::Circle::new(16)
    );
}

#[cfg(feature = "driver")]
#[test]
fn sagas() {
    stories!("stories/saga/*.txt", "stories/saga", saga::Fair::new());
}
