//! What a user is to be granted: the README's lists, which the tests of consumers, of the bus and of a
//! cluster run under, are those that are written.

use tenure_core::name::Namespace;
use tenure_core::space::Grants;

/// The texts in quotes of one list of a server's settings.
fn quoted(settings: &str, list: &str) -> Vec<String> {
    let (_, rest) = settings.split_once(&format!("{list}: [")).expect("a list");
    let (texts, _) = rest.split_once(']').expect("its end");
    let texts = texts.split('"').skip(1).step_by(2);
    texts.map(str::to_owned).collect()
}

#[test]
fn the_lists_in_the_readme_are_those_that_are_written() {
    let readme = include_str!("../../../README.md");
    let bank: Namespace = "bank".parse().expect("a namespace");
    let program = Grants::new(&bank).bus();
    let mut settings = readme.split("```conf\n").skip(1);
    let values = Grants::new(&bank).values();
    for grants in [program.clone(), program.cluster(), values] {
        let settings = settings.next().expect("three lists of settings");
        let (settings, _) = settings.split_once("```").expect("their end");
        assert_eq!(quoted(settings, "subscribe"), grants.subscribe());
        assert_eq!(quoted(settings, "publish"), grants.publish());
        let written = format!("permissions: {grants}");
        assert_eq!(quoted(&written, "subscribe"), grants.subscribe());
        assert_eq!(quoted(&written, "publish"), grants.publish());
    }
}

#[test]
fn a_program_is_granted_what_it_uses_alone() {
    let bank: Namespace = "bank".parse().expect("a namespace");
    let least = Grants::new(&bank).streams(2).without_create();
    assert_eq!(least.subscribe(), ["_INBOX.>"]);
    let granted = least.publish().join(" ");
    for absent in [
        "CREATE",
        "CONSUMER",
        "bank_con",
        "bank_bus",
        "bank_mem",
        "bank_ev_2",
    ] {
        assert!(!granted.contains(absent), "{absent} in {granted}");
    }
    assert!(granted.contains("$JS.API.DIRECT.GET.bank_ev_1"));
    let consumes = least.consumers().publish();
    assert!(consumes.contains(&"$JS.API.CONSUMER.CREATE.bank_ev_1.*".to_owned()));
    assert!(!consumes.contains(&"$JS.API.STREAM.MSG.GET.bank_con".to_owned()));
}
