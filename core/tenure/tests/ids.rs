//! Entity ids are any text: what is odd in a subject is escaped, and found again.

use crate::common::{Move, World, on_both_shells};
use tenure::prelude::*;
use tenure::{ExecuteError, NameError};

on_both_shells!(
    odd_ids_are_entities_like_others,
    an_id_that_cannot_be_is_refused
);

async fn odd_ids_are_entities_like_others(world: &World) {
    let kilobyte = "x".repeat(1_024);
    let crabs = "\u{1f980}".repeat(256);
    let ids = [
        "user.1",
        "user.2",
        "user",
        "a b",
        "*",
        ">",
        "a.*",
        "\u{1f980}",
        "tab\t",
        "\u{0}",
        "%2E",
        "Ümläut",
        "ümläut",
        ".",
        "..",
        "_",
        "-",
        "$JS",
        &kilobyte,
        &crabs,
    ];
    let accounts = world.accounts().await;
    for (n, id) in ids.iter().enumerate() {
        let cents = i64::try_from(n).unwrap();
        accounts.create(id, Move { cents }).await.unwrap();
        accounts.execute(id, Move { cents: 1 }).await.unwrap();
    }
    let elsewhere = world.accounts().await;
    for (n, id) in ids.iter().enumerate() {
        let loaded = elsewhere.load(id).await.unwrap();
        assert_eq!(loaded.state.cents, i64::try_from(n).unwrap() + 1, "{id:?}");
        assert_eq!(loaded.version, Version(2), "{id:?}");
        let events = elsewhere.history(id).unwrap().collect().await.unwrap();
        assert_eq!(events.len(), 2, "{id:?}");
    }
}

async fn an_id_that_cannot_be_is_refused(world: &World) {
    let accounts = world.accounts().await;
    let empty = accounts.execute("", Move { cents: 1 }).await;
    assert!(
        matches!(empty, Err(ExecuteError::Name(NameError::Empty { .. }))),
        "{empty:?}"
    );
    let long = "x".repeat(1_025);
    let error = accounts
        .execute(&long, Move { cents: 1 })
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entity id has 1025 bytes; shorten it to 1024"
    );
    let load = accounts.load(&long).await;
    assert!(
        matches!(load, Err(LoadError::Name(NameError::TooLong { .. }))),
        "{load:?}"
    );
    assert!(accounts.history("").is_err());
    assert!(accounts.load_at("", Version(1)).await.is_err());
    assert!(accounts.version("").await.is_err());
}
