//! The routes, and what an answer is over HTTP.

use crate::metrics::{Metrics, Route};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tenure_examples::counters::{Counters, Problem};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// How soon what was answered 503 may be sent again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// So much is added at once at most, so that no counter overflows.
const AMOUNT_MAX: u64 = 1 << 32;

/// What the routes need.
#[derive(Debug)]
struct Desk {
    counters: Counters,
    metrics: Arc<Metrics>,
}

/// The body of an increment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Increment {
    #[serde(default = "one")]
    amount: u64,
}

fn one() -> u64 {
    1
}

/// The body of an answer.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    count: u64,
}

/// The routes of the counters.
pub(crate) fn routes(counters: Counters, metrics: Arc<Metrics>) -> Router {
    let desk = Arc::new(Desk { counters, metrics });
    Router::new()
        .route("/", get(index))
        .route("/counter/{id}", get(read))
        .route("/counter/{id}/increment", post(increment))
        .with_state(desk)
}

/// The route of the metrics.
pub(crate) fn metrics_route(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(tell_metrics))
        .with_state(metrics)
}

/// Begins to listen; what port 0 came to is in the address.
pub(crate) async fn bind(what: &str, at: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let taken = |error: io::Error| {
        format!("{what} cannot listen at {at} ({error}): give --{what} another port, or 0 for any")
    };
    let listener = TcpListener::bind(at).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok((listener, address))
}

/// Serves until `end` has ended and what was taken in is answered.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Answers are small, and each is waited for. One whose connection is gone needs none.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes)
        .with_graceful_shutdown(end)
        .await
}

async fn index() -> &'static str {
    "POST /counter/{id}/increment with nothing or {\"amount\":n}\nGET /counter/{id}\n"
}

async fn read(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response {
    let begin = Instant::now();
    let answer = desk.counters.count(&id).await;
    desk.answer(Route::Read, begin, &id, answer)
}

async fn increment(State(desk): State<Arc<Desk>>, Path(id): Path<String>, body: Bytes) -> Response {
    let begin = Instant::now();
    let answer = match amount(&body) {
        Ok(amount) => desk.counters.add(&id, amount).await,
        Err(problem) => Err(problem),
    };
    desk.answer(Route::Increment, begin, &id, answer)
}

fn amount(body: &[u8]) -> Result<u64, Problem> {
    if body.is_empty() {
        return Ok(1);
    }
    let Increment { amount } = serde_json::from_slice(body).map_err(|error| {
        Problem::Invalid(format!(
            "the body is not {{\"amount\":n}} ({error}): leave it out, or give a number"
        ))
    })?;
    if amount > AMOUNT_MAX {
        return Err(Problem::Invalid(format!(
            "an amount of {amount} is too much at once: give {AMOUNT_MAX} or less"
        )));
    }
    Ok(amount)
}

impl Desk {
    fn answer(
        &self,
        route: Route,
        begin: Instant,
        id: &str,
        answer: Result<u64, Problem>,
    ) -> Response {
        let response = match answer {
            Ok(count) => json(&Told { id, count }),
            Err(problem) => refused(&problem),
        };
        let status = response.status().as_u16();
        self.metrics.answered(route, status, begin.elapsed());
        response
    }
}

fn json(told: &Told<'_>) -> Response {
    match serde_json::to_vec(told) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn refused(problem: &Problem) -> Response {
    let text = format!("{problem}\n");
    match problem {
        Problem::Invalid(_) => (StatusCode::BAD_REQUEST, text).into_response(),
        Problem::Overloaded | Problem::Unavailable(_) => {
            let after = HeaderValue::from_static(RETRY_AFTER_S);
            let headers = [(header::RETRY_AFTER, after)];
            (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
        }
        Problem::Unknown(_) => (StatusCode::GATEWAY_TIMEOUT, text).into_response(),
        Problem::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
    }
}

async fn tell_metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    let text = metrics.text().await;
    let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, version)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::{amount, refused};
    use tenure_examples::counters::Problem;

    #[test]
    fn what_may_be_sent_again_says_when() {
        for problem in [Problem::Overloaded, Problem::Unavailable("moving".into())] {
            let response = refused(&problem);
            assert_eq!(response.status(), 503, "{problem:?}");
            assert_eq!(response.headers()["retry-after"], "1", "{problem:?}");
        }
        for (problem, status) in [
            (Problem::Invalid("x".into()), 400),
            (Problem::Unknown("x".into()), 504),
            (Problem::Failed("x".into()), 500),
        ] {
            let response = refused(&problem);
            assert_eq!(response.status(), status, "{problem:?}");
            assert!(!response.headers().contains_key("retry-after"));
        }
    }

    #[test]
    fn a_body_without_an_amount_adds_one() {
        assert_eq!(amount(b""), Ok(1));
        assert_eq!(amount(b"{}"), Ok(1));
        assert_eq!(amount(b"{\"amount\":7}"), Ok(7));
        assert!(matches!(
            amount(b"{\"amount\":1.5}"),
            Err(Problem::Invalid(_))
        ));
    }
}
