//! Reads.

use super::{Bench, message};
use alloc::vec;
use alloc::vec::Vec;
use tenure_core::id::Sequence;
use tenure_core::port::{Refused, StoreDone, StoreRequest};

#[test]
fn k2_latest_without_any_message_is_a_bare_refusal() {
    let mut bench = Bench::unreplicated();
    bench.publish(message("s.a")).stored(1);
    let none = bench.latest(&["s.x", "s.y"]);
    assert_eq!(bench.apply(none).refused(), Refused::NotFound);
    let some = bench.latest(&["s.x", "s.a"]);
    let StoreDone::Latest(proof) = bench.apply(some).done() else {
        panic!()
    };
    assert_eq!((proof.messages.len(), proof.up_to), (1, Sequence(1)));
}

#[test]
fn a_scan_pages_through_a_filter() {
    let mut bench = Bench::unreplicated();
    for n in 0..6 {
        bench
            .publish(message(["s.a.1", "s.b.1"][n % 2]))
            .stored(n as u64 + 1);
    }
    let mut scan = |filter: &str, from, messages_max| {
        let request = StoreRequest::Scan {
            stream: "S".into(),
            filter: filter.into(),
            from: Sequence(from),
            messages_max,
        };
        let StoreDone::Page(page) = bench.apply(request).done() else {
            panic!()
        };
        let sequences: Vec<u64> = page.messages.iter().map(|m| m.sequence.0).collect();
        (sequences, page.more)
    };
    assert_eq!(scan("s.a.*", 1, 2), (vec![1, 3], true));
    assert_eq!(scan("s.a.1", 4, 2), (vec![5], false));
    assert_eq!(scan("s.b.1", 1, 3), (vec![2, 4, 6], false));
    assert_eq!(scan("s.>", 2, 3), (vec![2, 3, 4], true));
    assert_eq!(scan("s.x", 1, 3), (vec![], false));
}
