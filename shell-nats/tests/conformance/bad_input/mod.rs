//! Bad input: each scene is refused with a typed error whose text names the thing and the remedy,
//! and writes nothing. What users are told is in one snapshot, to be read as a page.

mod commands;
mod events;
mod names;
mod page;
mod servers;
mod spaces;
mod streams;

pub(crate) use page::{Page, Told};

/// One scene, which runs once however many tests look at it.
pub(crate) type Scene = fn() -> &'static [Told];

/// Makes `name::mem` and `name::nats` of each scene, and `SCENES` for the page.
macro_rules! scenes {
    (both: [$($both:ident),* $(,)?], nats: [$($nats:ident),* $(,)?] $(,)?) => {
        $(mod $both {
            crate::bad_input::scene!(mem, $both);
            crate::bad_input::scene!(nats, $both);
        })*
        $(mod $nats {
            crate::bad_input::scene!(nats, $nats);
        })*
        pub(super) const SCENES: &[(&str, Option<crate::bad_input::Scene>, crate::bad_input::Scene)] = &[
            $((stringify!($both), Some($both::mem::told), $both::nats::told),)*
            $((stringify!($nats), None, $nats::nats::told),)*
        ];
    };
}

/// Makes the test of one scene on one shell.
macro_rules! scene {
    ($shell:ident, $name:ident) => {
        pub(super) mod $shell {
            use crate::bad_input::{Told, page};
            use std::sync::OnceLock;

            pub(in super::super) fn told() -> &'static [Told] {
                static TOLD: OnceLock<Vec<Told>> = OnceLock::new();
                TOLD.get_or_init(|| {
                    page::play(async {
                        let world = crate::world::World::$shell();
                        let mut page = page::Page::default();
                        super::super::$name(&world, &mut page).await;
                        page.into_told()
                    })
                })
            }

            #[test]
            fn $shell() {
                assert!(!told().is_empty());
            }
        }
    };
}

pub(crate) use scene;
pub(crate) use scenes;

/// What every scene told, on one page: once where both shells say the same.
#[test]
fn what_users_are_told() {
    let themes = [
        ("Names", names::SCENES),
        ("Commands and appends", commands::SCENES),
        ("Stored events", events::SCENES),
        ("Namespaces and kinds", spaces::SCENES),
        ("Streams", streams::SCENES),
        ("Servers", servers::SCENES),
    ];
    let mut text = String::new();
    for (theme, scenes) in themes {
        text += &format!("# {theme}\n\n");
        for (name, mem, nats) in scenes {
            let shells = if mem.is_some() { "" } else { " (nats)" };
            text += &format!("## {}{shells}\n\n", name.replace('_', " "));
            let mem = mem.map(|told| told());
            text += &page::print(mem, nats());
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("what_users_are_told", text));
}
