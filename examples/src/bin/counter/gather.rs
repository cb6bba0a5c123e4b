//! The metrics of the processes that one process has started, in one text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a process has to tell its metrics; who asked for all of them is not to wait for one.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// The longest text of one process, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// Where a process tells its metrics, once it has said so.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    at: Arc<Mutex<Option<String>>>,
}

impl Source {
    pub(crate) fn named(name: String) -> Self {
        let at = Arc::default();
        Self { name, at }
    }

    /// It listens at an address and port.
    pub(crate) fn tells_at(&self, at: &str) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at.to_owned());
    }

    /// Its metrics at this moment; nothing when it is gone, or not ready yet.
    pub(crate) async fn text(&self) -> Option<String> {
        let at = {
            let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
            at.clone()?
        };
        let told = tokio::time::timeout(TOLD_WITHIN, fetched(&at)).await;
        told.ok()?.ok()
    }
}

async fn fetched(at: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    // By this version the answer is in one piece, and ends with the connection.
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(TEXT_MAX).read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Metrics in Prometheus' text format, each under its name once.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    places: BTreeMap<String, usize>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Default)]
struct Metric {
    head: String,
    samples: String,
}

impl Gathered {
    /// Takes in a text.
    pub(crate) fn add(&mut self, text: &str) {
        let mut place = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let name = rest.split(' ').next().unwrap_or(rest);
                let known = self.places.get(name).copied();
                let at = known.unwrap_or(self.metrics.len());
                if known.is_none() {
                    self.places.insert(name.to_owned(), at);
                    self.metrics.push(Metric::default());
                }
                place = Some((at, known.is_none()));
            }
            let Some((at, is_new)) = place else {
                continue;
            };
            let Some(metric) = self.metrics.get_mut(at) else {
                continue;
            };
            let part = match (line.starts_with('#'), is_new) {
                (true, true) => &mut metric.head,
                (true, false) => continue,
                (false, _) => &mut metric.samples,
            };
            // Writing to a string cannot fail.
            let _ = writeln!(part, "{line}");
        }
    }

    /// All that was taken in, in the order in which the names came.
    pub(crate) fn text(&self) -> String {
        let parts = self.metrics.iter();
        let parts = parts.flat_map(|metric| [&*metric.head, &*metric.samples]);
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Gathered;

    #[test]
    fn a_metric_of_two_processes_has_one_head() {
        let mut gathered = Gathered::default();
        for node in ["a", "b"] {
            gathered.add(&format!(
                "# HELP x An x\n# TYPE x counter\nx{{node=\"{node}\"}} 1\n# HELP {node} Its own\n{node} 2\n"
            ));
        }
        let all = "# HELP x An x\n# TYPE x counter\nx{node=\"a\"} 1\nx{node=\"b\"} 1\n\
                   # HELP a Its own\na 2\n# HELP b Its own\nb 2\n";
        assert_eq!(gathered.text(), all);
    }
}
