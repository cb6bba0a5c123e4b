//! The oracles on what was written down by hand: each is silent where nothing is wrong, and speaks where
//! something is.

use super::super::book::{Book, Call, Seen};
use super::super::entity::Bill;
use super::{Wanted, intended, keys, missing, paid, put_aside};

const BILL: Bill = Bill { sale: 1, part: 0 };
const OTHER: Bill = Bill { sale: 1, part: 1 };

fn call(at: u64, bill: Bill, key: &str) -> Call {
    Call {
        at,
        node: 0,
        bill,
        key: key.to_owned(),
        wanted_by: ("shop".to_owned(), "shop-1".to_owned()),
    }
}

fn seen(at: u64, tries: u32) -> Seen {
    let Call {
        bill,
        key,
        wanted_by,
        ..
    } = call(at, BILL, "a");
    Seen {
        at,
        key,
        bill,
        wanted_by,
        tries,
    }
}

/// Stored at 10, called at 20 and 30, carried out at 31, told at 40.
fn fine() -> (Wanted, Book) {
    let mut wanted = Wanted::default();
    wanted.bills.insert(BILL, vec![(10, "shop-1".to_owned())]);
    wanted.paid.insert(BILL, vec![40]);
    let mut book = Book::default();
    book.calls = vec![call(20, BILL, "a"), call(30, BILL, "a")];
    book.does(31, BILL);
    book.letters.push(seen(35, 2));
    (wanted, book)
}

#[test]
fn nothing_is_said_where_nothing_is_wrong() {
    let (wanted, book) = fine();
    assert_eq!(keys::judge(&book), Ok(()));
    assert_eq!(intended::judge(&wanted, &book), Ok(()));
    assert_eq!(paid::judge(&wanted, &book), Ok(()));
    assert_eq!(put_aside::judge(&book, 2), Ok(()));
    assert_eq!(missing(&wanted, &book), None);
}

#[test]
fn a_key_is_the_same_each_time_and_of_one_effect() {
    let (_, mut book) = fine();
    book.calls.push(call(50, BILL, "b"));
    assert!(keys::judge(&book).unwrap_err().contains("the keys a and b"));
    let (_, mut book) = fine();
    book.calls.push(call(50, OTHER, "a"));
    assert!(keys::judge(&book).unwrap_err().contains("one key, a"));
    let (_, mut book) = fine();
    book.letters[0].key = "b".to_owned();
    assert!(keys::judge(&book).is_err());
}

#[test]
fn what_no_commit_wants_or_several_do_is_seen() {
    let (wanted, mut book) = fine();
    book.calls.push(call(50, OTHER, "b"));
    let none = intended::judge(&wanted, &book).unwrap_err();
    assert!(none.contains("no commit wants it"), "{none}");
    let (wanted, mut book) = fine();
    book.calls[0].at = 9;
    let early = intended::judge(&wanted, &book).unwrap_err();
    assert!(early.contains("stored at 10"), "{early}");
    let (wanted, mut book) = fine();
    book.calls[0].wanted_by.1 = "shop-2".to_owned();
    assert!(intended::judge(&wanted, &book).is_err());
    let (mut wanted, book) = fine();
    let all = wanted.bills.get_mut(&BILL).expect("it is there");
    all.push((12, "shop-1".to_owned()));
    let twice = intended::judge(&wanted, &book).unwrap_err();
    assert!(twice.contains("several commits"), "{twice}");
}

#[test]
fn what_is_told_twice_or_was_not_carried_out_is_seen() {
    let (mut wanted, book) = fine();
    wanted.paid.insert(BILL, vec![40, 50]);
    let twice = paid::judge(&wanted, &book).unwrap_err();
    assert!(twice.contains("paid 2 times"), "{twice}");
    let (wanted, mut book) = fine();
    book.done.clear();
    assert!(paid::judge(&wanted, &book).is_err());
}

#[test]
fn a_letter_says_whose_it_is_and_comes_after_all_tries() {
    let (_, mut book) = fine();
    book.letters[0] = seen(35, 1);
    assert!(put_aside::judge(&book, 2).is_err());
    book.letters[0] = seen(25, 2);
    let early = put_aside::judge(&book, 2).unwrap_err();
    assert!(early.contains("called 1 times"), "{early}");
    book.letters[0] = seen(35, 2);
    book.letters[0].wanted_by.1 = "shop-2".to_owned();
    assert!(put_aside::judge(&book, 2).is_err());
}

#[test]
fn what_is_neither_carried_out_nor_put_aside_is_missing() {
    let (mut wanted, mut book) = fine();
    wanted.bills.insert(OTHER, vec![(10, "shop-1".to_owned())]);
    assert!(missing(&wanted, &book).is_some());
    book.removed.insert(OTHER);
    assert_eq!(missing(&wanted, &book), None);
    wanted.paid.clear();
    let untold = missing(&wanted, &book).expect("it is not told");
    assert!(untold.contains("is not told"), "{untold}");
}
