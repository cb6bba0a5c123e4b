//! Where a node runs.

use super::TenureError;
use std::fmt;
use std::future::Future;
use tenure_core::driver::Shell;
use tenure_core::step::Span;

/// Where a node runs, as [`Builder::start`](crate::Builder::start) takes it.
///
/// - A text: `mem:` is a fresh store in memory, `mem:<name>` one that this process shares under the
///   name, `nats://…` a server (or several, with commas between).
/// - With the feature `nats`: `NatsOptions`, for credentials and TLS, or a client that the program
///   has. A connection of Tenure's own is better: `NatsShell::with_client` says what is weaker.
#[derive(Clone, Debug)]
pub struct Place(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Text(String),
    #[cfg(feature = "nats")]
    Options(Box<tenure_nats::NatsOptions>),
    #[cfg(feature = "nats")]
    Client(async_nats::Client),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&without_secrets(text)).finish(),
            #[cfg(feature = "nats")]
            Self::Options(options) => f.debug_tuple("Options").field(options).finish(),
            #[cfg(feature = "nats")]
            Self::Client(_) => f.debug_tuple("Client").finish_non_exhaustive(),
        }
    }
}

/// What is done in a place, whichever it is.
pub(crate) trait Work: Send {
    type Done;

    fn run<S: Shell>(
        self,
        shell: S,
    ) -> impl Future<Output = Result<Self::Done, TenureError>> + Send;
}

impl Place {
    /// Goes there, and does it.
    pub(crate) async fn run<W: Work>(
        self,
        store_timeout: Span,
        work: W,
    ) -> Result<W::Done, TenureError> {
        match self.0 {
            Kind::Text(text) => match scheme(&text)? {
                Scheme::Mem(name) => in_mem(&text, name, work).await,
                Scheme::Nats => on_nats(&text, store_timeout, work).await,
            },
            #[cfg(feature = "nats")]
            Kind::Options(options) => connected(*options, work).await,
            #[cfg(feature = "nats")]
            Kind::Client(client) => {
                let shell = tenure_nats::NatsShell::with_client(client, store_timeout).await;
                let shell = shell.map_err(|error| TenureError::Connect(Box::new(error)))?;
                work.run(shell).await
            }
        }
    }
}

#[cfg(feature = "mem")]
async fn in_mem<W: Work>(_: &str, name: &str, work: W) -> Result<W::Done, TenureError> {
    let shell = match name {
        "" => tenure_mem::MemShell::fresh(),
        name => tenure_mem::MemShell::named(name),
    };
    work.run(shell).await
}

#[cfg(not(feature = "mem"))]
async fn in_mem<W: Work>(place: &str, _: &str, _: W) -> Result<W::Done, TenureError> {
    Err(TenureError::NoFeature {
        place: place.to_owned(),
        feature: "mem",
    })
}

#[cfg(feature = "nats")]
async fn on_nats<W: Work>(
    urls: &str,
    store_timeout: Span,
    work: W,
) -> Result<W::Done, TenureError> {
    let options = tenure_nats::NatsOptions::new(urls).store_timeout(store_timeout);
    connected(options, work).await
}

#[cfg(feature = "nats")]
async fn connected<W: Work>(
    options: tenure_nats::NatsOptions,
    work: W,
) -> Result<W::Done, TenureError> {
    let shell = tenure_nats::NatsShell::connect(options).await;
    let shell = shell.map_err(|error| TenureError::Connect(Box::new(error)))?;
    work.run(shell).await
}

#[cfg(not(feature = "nats"))]
async fn on_nats<W: Work>(place: &str, _: Span, _: W) -> Result<W::Done, TenureError> {
    Err(TenureError::NoFeature {
        place: without_secrets(place),
        feature: "nats",
    })
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        Self(Kind::Text(text.to_owned()))
    }
}

impl From<&String> for Place {
    fn from(text: &String) -> Self {
        Self(Kind::Text(text.clone()))
    }
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        Self(Kind::Text(text))
    }
}

#[cfg(feature = "nats")]
impl From<tenure_nats::NatsOptions> for Place {
    fn from(options: tenure_nats::NatsOptions) -> Self {
        Self(Kind::Options(options.into()))
    }
}

#[cfg(feature = "nats")]
impl From<async_nats::Client> for Place {
    fn from(client: async_nats::Client) -> Self {
        Self(Kind::Client(client))
    }
}

/// A text's meaning.
pub(crate) enum Scheme<'a> {
    /// A store in memory, by name; an empty one is fresh.
    Mem(&'a str),
    /// A server.
    Nats,
}

/// What a text names.
pub(crate) fn scheme(text: &str) -> Result<Scheme<'_>, TenureError> {
    match text.split_once(':') {
        Some(("mem", name)) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.chars().all(plain) {
                Ok(Scheme::Mem(name))
            } else {
                Err(TenureError::StoreName {
                    place: text.to_owned(),
                })
            }
        }
        Some(("nats" | "tls" | "ws" | "wss", rest)) if rest.starts_with("//") => Ok(Scheme::Nats),
        Some(_) | None => Err(TenureError::UnknownPlace {
            place: without_secrets(text),
        }),
    }
}

/// A place without the user, password or token before its `@`.
pub(crate) fn without_secrets(place: &str) -> String {
    match (place.split_once("//"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}//…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, without_secrets};

    #[test]
    fn a_place_in_an_error_has_no_secrets() {
        assert_eq!(
            without_secrets("nats://a:b@host:4222"),
            "nats://…@host:4222"
        );
        assert_eq!(without_secrets("tls://token@h,nats://x:y@i"), "tls://…@i");
        assert_eq!(without_secrets("mem:bank"), "mem:bank");
        assert!(!format!("{:?}", Place::from("nats://a:b@host")).contains("a:b"));
    }
}
