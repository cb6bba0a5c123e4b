//! Links that go and come back, and receivers that do not keep up.

use super::heard::announcing;
use super::{Pair, connected, delivery, disconnected, frame, listen, on_both, send, within};
use crate::scene::{acknowledged, message};
use bytes::Bytes;
use tenure_core::driver::{DELIVERIES_MAX, HEARD_MAX, Shell};
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, SendRefused, StoreRequest, Subject};

on_both!(
    who_listens_and_hears_does_so_on_the_next_link,
    a_listener_that_does_not_keep_up_costs_nobody_but_itself,
    a_hearer_that_does_not_keep_up_loses_what_is_more,
);

async fn who_listens_and_hears_does_so_on_the_next_link(pair: impl Pair) {
    let (one, two) = (pair.one(), pair.two());
    announcing(one).await;
    let mut here = listen(one, "net.one").await;
    let mut there = listen(two, "net.two").await;
    let mut heard = two.hear("rep.>".into());
    let (mut inbox, mut other) = (one.inbox(), two.inbox());
    connected(&mut inbox).await;
    connected(&mut other).await;

    pair.part();
    disconnected(&mut inbox).await;
    disconnected(&mut other).await;
    // Nothing is taken for later (S8), and nobody answers for it.
    let (to, from) = (Subject::from("net.two"), Subject::from("net.one"));
    let refused = one.send(OpId(1), &to, &from, Bytes::from_static(b"late"));
    assert_eq!(refused, Err(SendRefused::NotConnected));
    // Who listens now does so with the next link.
    let mut new = two.listen("net.new".into());

    pair.mend();
    connected(&mut inbox).await;
    connected(&mut other).await;
    super::settled(two).await;
    send(one, 2, ("net.two", "net.one"), "again");
    assert_eq!(delivery(&mut there).await, frame("again"));
    send(one, 3, ("net.new", "net.one"), "new");
    assert_eq!(delivery(&mut new).await, frame("new"));
    send(one, 4, ("net.nobody", "net.one"), "lost");
    let told = delivery(&mut here).await;
    assert_eq!(told, Delivery::NoResponders(OpId(4)));
    let publish = message("s.own.f.1", "mine");
    let stored = acknowledged(one.store(StoreRequest::Publish(publish)).await);
    let told = within("an announcement", heard.recv()).await;
    assert_eq!(told.expect("a shell that lives").sequence, stored);
    assert!(here.try_recv().is_err() && there.try_recv().is_err());
}

async fn a_listener_that_does_not_keep_up_costs_nobody_but_itself(pair: impl Pair) {
    let (one, two) = (pair.one(), pair.two());
    let mut slow = listen(two, "net.slow").await;
    let mut quick = listen(two, "net.quick").await;
    let (to, from) = (Subject::from("net.slow"), Subject::from("net.one"));
    let frame_of = |number: usize| Bytes::copy_from_slice(&number.to_be_bytes());
    // More than it holds: the network in memory says so, and a server drops them on the way.
    let mut full = false;
    within("more than there is room for", async {
        for number in 0.. {
            match one.send(OpId(1), &to, &from, frame_of(number)) {
                Ok(()) => {}
                Err(SendRefused::Full) if number >= DELIVERIES_MAX => full = true,
                Err(SendRefused::Full) => {}
                Err(refused) => panic!("{refused:?}"),
            }
            if full || pair.lost() > 0 {
                break;
            }
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    within("the others' frames", async {
        while one.send(OpId(2), &"net.quick".into(), &from, "quick".into())
            == Err(SendRefused::Full)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(delivery(&mut quick).await, frame("quick"));
    // What it holds is there in order, and there is room again afterwards.
    let mut last = None;
    for _ in 0..DELIVERIES_MAX {
        let Delivery::Frame(frame) = delivery(&mut slow).await else {
            panic!("not a frame")
        };
        let number = usize::from_be_bytes(frame[..].try_into().unwrap());
        assert!(last.is_none_or(|last| last < number));
        last = Some(number);
    }
    super::settled(two).await;
    while slow.try_recv().is_ok() {}
    send(one, 3, ("net.slow", "net.one"), "again");
    within("the frame after", async {
        while delivery(&mut slow).await != frame("again") {}
    })
    .await;
}

async fn a_hearer_that_does_not_keep_up_loses_what_is_more(pair: impl Pair) {
    let (one, two) = (pair.one(), pair.two());
    announcing(one).await;
    let mut slow = two.hear("rep.>".into());
    super::settled(two).await;
    for number in 0..=HEARD_MAX {
        let publish = message(&format!("s.own.f.{number}"), "x");
        acknowledged(one.store(StoreRequest::Publish(publish)).await);
    }
    within("a loss", async {
        while pair.lost() == 0 {
            super::settled(two).await;
        }
    })
    .await;
    assert_eq!(pair.lost(), 1);
    for number in 0..HEARD_MAX {
        let heard = slow.try_recv().unwrap();
        assert_eq!(heard.subject.as_str(), format!("rep.f.{number}"));
    }
    let stored = acknowledged(
        one.store(StoreRequest::Publish(message("s.own.l.1", "y")))
            .await,
    );
    let heard = within("the next", slow.recv()).await;
    assert_eq!(heard.expect("a shell that lives").sequence, stored);
}
