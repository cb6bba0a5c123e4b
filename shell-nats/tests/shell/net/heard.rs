//! What streams announce when they store it (S16).

use super::{Pair, on_both, within};
use crate::scene::{events, message};
use tenure_core::driver::Shell;
use tenure_core::id::Sequence;
use tenure_core::port::{Heard, Publish, Republish, StoreRequest};
use tenure_core::step::Outcome;
use tokio::sync::mpsc;

on_both!(
    what_is_stored_is_heard_where_its_stream_announces_it,
    who_hears_no_more_is_told_nothing,
);

/// A stream whose ownership records are announced.
pub(super) async fn announcing(shell: &impl Shell) {
    let mut settings = events("S", "s.>");
    settings.republish = Some(Republish {
        source: "s.own.>".into(),
        destination: "rep.>".into(),
    });
    let created = shell.store(StoreRequest::CreateStream(settings)).await;
    assert!(matches!(created, Outcome::Done(_)), "{created:?}");
}

async fn store(shell: &impl Shell, message: Publish) -> Sequence {
    crate::scene::acknowledged(shell.store(StoreRequest::Publish(message)).await)
}

async fn hears(heard: &mut mpsc::Receiver<Heard>) -> Heard {
    within("an announcement", heard.recv())
        .await
        .expect("a shell that lives")
}

async fn what_is_stored_is_heard_where_its_stream_announces_it(pair: impl Pair) {
    announcing(pair.one()).await;
    let mut all = pair.two().hear("rep.>".into());
    let mut leased = pair.one().hear("rep.l.*".into());
    super::settled(pair.two()).await;
    let fenced = store(pair.one(), message("s.own.f.17", "mine")).await;
    // An event is stored, and not announced.
    store(pair.one(), message("s.ev.17", "event")).await;
    let later = store(pair.two(), message("s.own.l.3", "yours")).await;
    let record = |subject: &str, sequence, payload: &'static str| Heard {
        subject: subject.into(),
        sequence,
        payload: payload.into(),
    };
    assert_eq!(hears(&mut all).await, record("rep.f.17", fenced, "mine"));
    let second = record("rep.l.3", later, "yours");
    assert_eq!(hears(&mut all).await, second);
    assert_eq!(hears(&mut leased).await, second);
    // A frame is no announcement, wherever it goes.
    let (to, from) = ("rep.l.4".into(), "net.one".into());
    let sent = pair
        .one()
        .send(tenure_core::id::OpId(1), &to, &from, "x".into());
    assert_eq!(sent, Ok(()));
    let last = store(pair.one(), message("s.own.l.5", "last")).await;
    assert_eq!(hears(&mut all).await, record("rep.l.5", last, "last"));
    assert_eq!(pair.lost(), 0);
}

async fn who_hears_no_more_is_told_nothing(pair: impl Pair) {
    announcing(pair.one()).await;
    let first = pair.two().hear("rep.>".into());
    let mut second = pair.two().hear("rep.>".into());
    super::settled(pair.two()).await;
    drop(first);
    for _ in 0..3 {
        let stored = store(pair.one(), message("s.own.f.1", "x")).await;
        assert_eq!(hears(&mut second).await.sequence, stored);
    }
    assert_eq!(pair.lost(), 0);
}
