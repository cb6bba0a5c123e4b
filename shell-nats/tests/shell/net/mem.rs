//! What the network in memory promises beside: links are cut one by one, and nothing is lost for
//! want of room but what is only a reason to look.

use super::{delivery, disconnected, frame, listen, send};
use crate::scene::{acknowledged, connected, message};
use bytes::Bytes;
use tenure_core::driver::{DELIVERIES_MAX, Shell};
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, Refused, SendRefused, StoreRequest};
use tenure_core::step::Outcome;
use tenure_mem::MemShell;

#[tokio::test]
async fn a_link_that_is_cut_is_silent_in_both_directions_and_others_go_on() {
    let one = MemShell::fresh();
    let two = one.beside();
    super::heard::announcing(&one).await;
    let mut here = listen(&one, "net.one").await;
    let mut there = listen(&two, "net.two").await;
    let mut heard = two.hear("rep.>".into());
    let mut inbox = two.inbox();
    connected(&mut inbox).await;

    two.clone().cut(true);
    disconnected(&mut inbox).await;
    send(&one, 1, ("net.two", "net.one"), "lost");
    let told = delivery(&mut here).await;
    assert_eq!(told, Delivery::NoResponders(OpId(1)));
    let refused = two.send(OpId(1), &"net.one".into(), &"net.two".into(), Bytes::new());
    assert_eq!(refused, Err(SendRefused::NotConnected));
    let publish = |body| StoreRequest::Publish(message("s.own.f.1", body));
    let refused = two.store(publish("late")).await;
    assert_eq!(refused, Outcome::Refused(Refused::NotConnected));
    acknowledged(one.store(publish("unheard")).await);

    two.cut(false);
    connected(&mut inbox).await;
    let stored = acknowledged(one.store(publish("heard")).await);
    assert_eq!(heard.recv().await.unwrap().sequence, stored);
    send(&one, 2, ("net.two", "net.one"), "again");
    assert_eq!(delivery(&mut there).await, frame("again"));
    // Nothing of what was cut off came late.
    assert!(here.try_recv().is_err() && there.try_recv().is_err() && heard.try_recv().is_err());
}

#[tokio::test]
async fn a_link_that_blinks_is_told_as_lost_and_found() {
    let shell = MemShell::fresh();
    let mut inbox = shell.inbox();
    connected(&mut inbox).await;
    shell.cut(true);
    shell.cut(false);
    disconnected(&mut inbox).await;
    connected(&mut inbox).await;
    // What changes nothing is not told.
    shell.cut(false);
    shell.cut(true);
    disconnected(&mut inbox).await;
    assert!(inbox.try_recv().is_err());
}

#[tokio::test]
async fn a_frame_without_room_is_refused_to_its_sender_and_none_is_lost() {
    let shell = MemShell::fresh();
    let mut here = listen(&shell, "net.one").await;
    // Of two who listen both get a frame or none.
    let mut both = listen(&shell, "net.one").await;
    let at = "net.one".into();
    for op in 0..DELIVERIES_MAX as u64 {
        assert_eq!(shell.send(OpId(op), &at, &at, Bytes::new()), Ok(()));
    }
    assert_eq!(delivery(&mut both).await, frame(""));
    let refused = shell.send(OpId(0), &at, &at, Bytes::new());
    assert_eq!(refused, Err(SendRefused::Full));
    for _ in 1..DELIVERIES_MAX {
        both.try_recv().unwrap();
    }
    assert!(both.try_recv().is_err());
    assert_eq!(delivery(&mut here).await, frame(""));
    send(&shell, 1, ("net.one", "net.one"), "next");
    assert_eq!(delivery(&mut both).await, frame("next"));
    assert_eq!(shell.lost(), 0);
}
