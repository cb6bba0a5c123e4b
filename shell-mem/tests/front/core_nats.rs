//! Connections, subscriptions, messages, and how a server says no to them.

use crate::line::{CONNECT, Line};
use crate::server::same;

#[tokio::test]
async fn subscriptions_get_what_they_match() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = Vec::new();
        line.send("SUB a.* 1\r\nSUB a.> 2\r\nSUB a.b 3\r\nSUB > 4\r\nSUB b 5\r\n")
            .await;
        for subject in ["a.b", "a.b.c", "a", "b"] {
            line.publish(subject, "", &[], subject).await;
            let mut all = line.flush().await;
            all.sort();
            told.extend(all);
        }
        line.send("UNSUB 4\r\nUNSUB 2\r\nUNSUB 9\r\nUNSUB 3 2\r\nUNSUB 1\r\n")
            .await;
        for _ in 0..3 {
            line.publish("a.b", "", &[("A", "1")], "again").await;
        }
        told.extend(line.flush().await);
        told
    })
    .await;
}

#[tokio::test]
async fn one_of_a_group_gets_each_message() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        line.send("SUB w g 1\r\nSUB w.* g 2\r\nSUB w g 3\r\nSUB w h 4\r\n")
            .await;
        for n in 0..200 {
            line.publish("w", "", &[], &n.to_string()).await;
        }
        let all = line.flush().await;
        let of = |sid: &str| all.iter().filter(|told| told.starts_with(sid)).count();
        let shared = [of("[1]"), of("[3]")];
        assert!(shared.iter().all(|count| *count > 30), "{shared:?}");
        vec![format!("{} {}", shared[0] + shared[1], of("[4]"))]
    })
    .await;
}

#[tokio::test]
async fn a_request_that_nobody_takes_is_told_so() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = vec![line.ask("nobody.is.here", "?").await];
        line.publish("nobody", "elsewhere", &[], "?").await;
        told.extend(line.flush().await);
        line.send("SUB here 1\r\n").await;
        line.publish("here", "in.x", &[("A", "1"), ("B", "2")], "!")
            .await;
        told.extend(line.flush().await);
        told
    })
    .await;
}

#[tokio::test]
async fn a_client_is_as_it_says() {
    same(async |url| {
        let mut told = Vec::new();
        for options in [
            "{}",
            "{\"verbose\":true,\"pedantic\":true}",
            "{\"verbose\":false,\"echo\":false,\"headers\":true}",
            "{\"verbose\":false,\"headers\":false,\"pedantic\":true}",
        ] {
            let mut line = Line::open(url).await;
            line.send(format!("CONNECT {options}\r\n")).await;
            line.send("SUB x 1\r\nSUB x..y 2\r\nSUB x.>.y 3\r\nPUB x 2\r\nhi\r\n")
                .await;
            line.send("PUB x.* 2\r\nhi\r\nUNSUB 1\r\n").await;
            told.extend(line.flush().await);
        }
        let mut with = Line::connect(url).await;
        let mut without = Line::open(url).await;
        without
            .send("CONNECT {\"verbose\":false}\r\nSUB y 1\r\n")
            .await;
        told.extend(without.flush().await);
        with.publish("y", "", &[("A", "1")], "body").await;
        with.flush().await;
        told.push(without.message().await.told());
        told
    })
    .await;
}

#[tokio::test]
async fn what_is_no_protocol_ends_its_connection_only() {
    same(async |url| {
        let mut other = Line::connect(url).await;
        let mut told = Vec::new();
        let long = format!("SUB {} 1\r\n", "x".repeat(5_000));
        let many = "x".repeat(9_000);
        for text in [
            "NOPE\r\n",
            "PUB a 1048577\r\n",
            "PUB a 2\r\nabc\r\n",
            "\r\n",
            "PUB\r\n",
            "PUB a b c d\r\n",
            "PUB a -1\r\n",
            "SUB a\r\n",
            "UNSUB\r\n",
            "HPUB a 10 5\r\n",
            "CONNECT nonsense\r\n",
            long.as_str(),
            many.as_str(),
        ] {
            let mut line = Line::open(url).await;
            line.send(CONNECT).await;
            line.send(text).await;
            let end = line.until_end().await;
            told.push(format!("{:?}: {end:?}", &text[..text.len().min(20)]));
            told.extend(other.flush().await);
        }
        told
    })
    .await;
}
