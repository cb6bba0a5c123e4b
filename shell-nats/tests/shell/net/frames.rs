//! Frames that arrive, and frames that nobody takes.

use super::{Pair, delivery, frame, listen, on_both, send, settled, within};
use bytes::Bytes;
use tenure_core::driver::Shell;
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, SendRefused, Subject};

on_both!(
    a_frame_arrives_and_so_does_its_answer,
    a_shell_reaches_itself,
    frames_of_one_sender_keep_their_order,
    nobody_listens_is_told_to_the_sender_by_its_operation,
    who_dropped_its_receiver_listens_no_more,
    who_listens_twice_gets_everything_twice,
    what_listens_ends_with_the_last_clone_of_its_shell,
    a_frame_may_have_the_servers_size_and_not_a_byte_more,
);

async fn a_frame_arrives_and_so_does_its_answer(pair: impl Pair) {
    let (one, two) = (pair.one(), pair.two());
    let mut here = listen(one, "net.one").await;
    let mut there = listen(two, "net.two").await;
    send(one, 1, ("net.two", "net.one"), "ask");
    assert_eq!(delivery(&mut there).await, frame("ask"));
    send(two, 1, ("net.one", "net.two"), "answer");
    assert_eq!(delivery(&mut here).await, frame("answer"));
    // Nothing else came, such as its own frames.
    assert!(here.try_recv().is_err() && there.try_recv().is_err());
    assert_eq!(pair.lost(), 0);
}

async fn a_shell_reaches_itself(pair: impl Pair) {
    // Handed over after it listens: no wait is needed between them.
    let mut here = pair.one().listen("net.one".into());
    send(pair.one(), 1, ("net.one", "net.one"), "mine");
    assert_eq!(delivery(&mut here).await, frame("mine"));
    // Nor is one when the receiver goes.
    drop(here);
    let mut other = pair.one().listen("net.other".into());
    send(pair.one(), 2, ("net.other", "net.other"), "next");
    assert_eq!(delivery(&mut other).await, frame("next"));
}

async fn frames_of_one_sender_keep_their_order(pair: impl Pair) {
    const FRAMES: u64 = 20_000;
    let mut there = listen(pair.two(), "net.two").await;
    let (to, from) = (Subject::from("net.two"), Subject::from("net.one"));
    let sender = pair.one().clone();
    // Both senders meet at one listener.
    let other = pair.two().clone();
    let sending = async {
        for number in 0..FRAMES {
            for (shell, mark) in [(&sender, 0_u64), (&other, 1)] {
                let number = (number << 1 | mark).to_be_bytes();
                let frame = Bytes::copy_from_slice(&number);
                while let Err(refused) = shell.send(OpId(1), &to, &from, frame.clone()) {
                    assert_eq!(refused, SendRefused::Full);
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    let taking = async {
        let mut wanted = [0_u64; 2];
        while wanted != [FRAMES; 2] {
            let Delivery::Frame(frame) = delivery(&mut there).await else {
                panic!("not a frame")
            };
            let number = u64::from_be_bytes(frame[..].try_into().unwrap());
            let next = &mut wanted[usize::from(number & 1 == 1)];
            assert_eq!(number >> 1, *next);
            *next += 1;
        }
    };
    within("all frames", async { tokio::join!(sending, taking) }).await;
    assert_eq!(pair.lost(), 0);
}

async fn nobody_listens_is_told_to_the_sender_by_its_operation(pair: impl Pair) {
    let mut here = listen(pair.one(), "net.one").await;
    let mut there = listen(pair.two(), "net.two").await;
    for op in [7, u64::MAX] {
        send(pair.one(), op, ("net.nobody", "net.one"), "lost");
        let told = delivery(&mut here).await;
        assert_eq!(told, Delivery::NoResponders(OpId(op)));
    }
    send(pair.one(), 8, ("net.two", "net.one"), "taken");
    assert_eq!(delivery(&mut there).await, frame("taken"));
    settled(pair.one()).await;
    assert!(here.try_recv().is_err());
    // Who listens nowhere is told nothing, and harms nobody.
    send(pair.one(), 9, ("net.nobody", "net.nowhere"), "lost");
    send(pair.one(), 10, ("net.nobody", "net.one"), "lost");
    let told = delivery(&mut here).await;
    assert_eq!(told, Delivery::NoResponders(OpId(10)));
}

async fn who_dropped_its_receiver_listens_no_more(pair: impl Pair) {
    let mut here = listen(pair.one(), "net.one").await;
    let mut there = listen(pair.two(), "net.two").await;
    send(pair.one(), 1, ("net.two", "net.one"), "taken");
    assert_eq!(delivery(&mut there).await, frame("taken"));
    drop(there);
    within("the end of the listener", async {
        for op in 2.. {
            send(pair.one(), op, ("net.two", "net.one"), "lost");
            settled(pair.one()).await;
            if let Ok(told) = here.try_recv() {
                assert!(matches!(told, Delivery::NoResponders(_)), "{told:?}");
                break;
            }
        }
    })
    .await;
    // It may listen there again.
    let mut there = listen(pair.two(), "net.two").await;
    send(pair.one(), 0, ("net.two", "net.one"), "again");
    assert_eq!(delivery(&mut there).await, frame("again"));
}

async fn who_listens_twice_gets_everything_twice(pair: impl Pair) {
    let mut here = listen(pair.one(), "net.one").await;
    let mut first = listen(pair.two(), "net.two").await;
    let mut second = listen(pair.two(), "net.two").await;
    send(pair.one(), 1, ("net.two", "net.one"), "both");
    assert_eq!(delivery(&mut first).await, frame("both"));
    assert_eq!(delivery(&mut second).await, frame("both"));
    // One goes, and the other stays.
    drop(first);
    send(pair.one(), 2, ("net.two", "net.one"), "one");
    assert_eq!(delivery(&mut second).await, frame("one"));
    settled(pair.one()).await;
    assert!(here.try_recv().is_err());
}

async fn what_listens_ends_with_the_last_clone_of_its_shell(pair: impl Pair) {
    let mut here = listen(pair.one(), "net.one").await;
    let mut there = listen(pair.two(), "net.two").await;
    let mut heard = pair.two().hear("net.heard.>".into());
    let ([one, two], _server) = pair.apart();
    let clone = two.clone();
    drop(two);
    send(&one, 1, ("net.two", "net.one"), "taken");
    assert_eq!(delivery(&mut there).await, frame("taken"));
    drop(clone);
    assert_eq!(within("the end", there.recv()).await, None);
    assert_eq!(within("the end", heard.recv()).await, None);
    within("the end of the listener", async {
        for op in 2.. {
            send(&one, op, ("net.two", "net.one"), "lost");
            settled(&one).await;
            if let Ok(told) = here.try_recv() {
                assert!(matches!(told, Delivery::NoResponders(_)), "{told:?}");
                break;
            }
        }
    })
    .await;
}

async fn a_frame_may_have_the_servers_size_and_not_a_byte_more(pair: impl Pair) {
    const BYTES_MAX: usize = 1 << 20;
    let mut there = listen(pair.two(), "net.two").await;
    let (to, from) = (Subject::from("net.two"), Subject::from("net.one"));
    let large = |bytes| Bytes::from(vec![b'x'; bytes]);
    let refused = pair.one().send(OpId(1), &to, &from, large(BYTES_MAX + 1));
    let too_large = SendRefused::TooLarge {
        bytes: BYTES_MAX + 1,
        bytes_max: BYTES_MAX,
    };
    assert_eq!(refused, Err(too_large));
    let sent = pair.one().send(OpId(2), &to, &from, large(BYTES_MAX));
    assert_eq!(sent, Ok(()));
    let Delivery::Frame(taken) = delivery(&mut there).await else {
        panic!("not a frame")
    };
    assert_eq!(taken.len(), BYTES_MAX);
    // The link is as it was.
    send(pair.one(), 3, ("net.two", "net.one"), "next");
    assert_eq!(delivery(&mut there).await, frame("next"));
}
