//! Streams: made, changed, described, listed, emptied, removed.

use crate::line::Line;
use crate::server::same;

#[tokio::test]
async fn streams_live_and_are_described() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = Vec::new();
        for (request, body) in [
            ("INFO", ""),
            ("STREAM.INFO.S", ""),
            ("STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}"),
            ("STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}"),
            ("STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"t.>\"]}"),
            ("STREAM.CREATE.T", "{\"name\":\"T\",\"subjects\":[\"s.a\"]}"),
            ("STREAM.CREATE.T", "{\"name\":\"T\",\"num_replicas\":3}"),
            ("STREAM.CREATE.T", "{\"name\":\"U\"}"),
            ("STREAM.CREATE.T", "nonsense"),
            (
                "STREAM.CREATE.T",
                "{\"name\":\"T\",\"max_age\":60000000000,\"max_msgs\":5,\"discard\":\"new\",\
                 \"storage\":\"memory\",\"description\":\"d\",\"allow_direct\":true}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"allow_rollup_hdrs\":true,\"deny_purge\":true}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"max_age\":60000000000,\"duplicate_window\":120000000000}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"subjects\":[\"v..w\"]}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"subjects\":[\"v\",\"v\"]}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"subjects\":[\"$JS.API.>\"]}",
            ),
            (
                "STREAM.CREATE.V",
                "{\"name\":\"V\",\"republish\":{\"src\":\">\",\"dest\":\"V\"}}",
            ),
            (
                "STREAM.UPDATE.S",
                "{\"name\":\"S\",\"subjects\":[\"s.>\",\"q\"],\"max_msgs\":9}",
            ),
            ("STREAM.UPDATE.S", "{\"name\":\"S\",\"storage\":\"memory\"}"),
            ("STREAM.UPDATE.X", "{\"name\":\"X\"}"),
            ("STREAM.INFO.S", ""),
            ("STREAM.INFO.S", "null"),
            ("STREAM.NAMES", ""),
            ("STREAM.NAMES", "{\"subject\":\"s.a\"}"),
            ("STREAM.NAMES", "{\"subject\":\"none\"}"),
            ("STREAM.LIST", ""),
            ("STREAM.DELETE.S", "{}"),
            ("STREAM.DELETE.S", ""),
            ("STREAM.DELETE.S", ""),
        ] {
            told.push(line.ask(&format!("$JS.API.{request}"), body).await);
        }
        told
    })
    .await;
}

#[tokio::test]
async fn messages_go_as_asked() {
    same(async |url| {
        let mut line = Line::connect(url).await;
        let mut told = Vec::new();
        let create = "{\"name\":\"S\",\"subjects\":[\"s.>\"]}";
        line.ask("$JS.API.STREAM.CREATE.S", create).await;
        for n in 0..12 {
            told.push(line.ask(&format!("s.{}", n % 3), &format!("{n}")).await);
        }
        for (request, body) in [
            ("STREAM.INFO.S", "{\"subjects_filter\":\">\"}"),
            ("STREAM.INFO.S", "{\"subjects_filter\":\"s.1\"}"),
            ("STREAM.MSG.DELETE.S", "{\"seq\":5}"),
            ("STREAM.MSG.DELETE.S", "{\"seq\":5}"),
            ("STREAM.MSG.DELETE.S", ""),
            ("STREAM.INFO.S", ""),
            ("STREAM.PURGE.S", "{\"filter\":\"s.1\"}"),
            ("STREAM.PURGE.S", "{\"filter\":\"s.2\",\"keep\":1}"),
            ("STREAM.PURGE.S", "{\"seq\":4}"),
            ("STREAM.PURGE.S", "{\"seq\":4,\"keep\":2}"),
            ("STREAM.INFO.S", ""),
            ("STREAM.PURGE.S", ""),
            ("STREAM.INFO.S", ""),
            ("STREAM.PURGE.X", ""),
        ] {
            told.push(line.ask(&format!("$JS.API.{request}"), body).await);
        }
        told
    })
    .await;
}
