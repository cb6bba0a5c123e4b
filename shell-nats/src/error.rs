//! Why a connection could not be made, each with what to do about it.

use crate::address::Address;
use async_nats::{ConnectErrorKind, ServerError};
use std::error::Error;
use std::io;
use tenure_core::port::ServerVersion;

/// Why there is no connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server answers at any of the addresses.
    #[error("no nats-server answers at {server} ({reason}): start one there, or name another")]
    Unreachable {
        /// The address that was tried last.
        server: String,
        /// What the operating system said.
        reason: String,
    },
    /// The address cannot be read.
    #[error("{url:?} is not the address of a nats-server: {reason}; write nats://host:port")]
    BadUrl {
        /// The address, without its credentials.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The credentials cannot be used.
    #[error("{what} cannot be used: {reason}; give an nkey seed or creds of a user")]
    BadCredentials {
        /// Which ones.
        what: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The server does not know these credentials, or wants some.
    #[error(
        "the nats-server at {server} refuses the credentials ({reason}): check user and password, \
         token, nkey seed or creds file"
    )]
    WrongCredentials {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// There is no trusted TLS connection.
    #[error(
        "TLS with {server} fails ({reason}): check the CA file, the client's certificate and key, \
         and that the certificate names the host"
    )]
    Tls {
        /// The server.
        server: String,
        /// What the handshake said.
        reason: String,
    },
    /// The server is too old.
    #[error(
        "the nats-server at {server} is {version}, which is too old: Tenure needs 2.12.14 or later \
         of 2.12, or 2.14.4 or later"
    )]
    TooOld {
        /// The server.
        server: String,
        /// Its version.
        version: ServerVersion,
    },
    /// The server's version cannot be read.
    #[error("the nats-server at {server} calls its version {version:?}, which cannot be read")]
    UnknownVersion {
        /// The server.
        server: String,
        /// Its version.
        version: String,
    },
    /// The account has no JetStream.
    #[error(
        "the account has no JetStream at {server} ({reason}): enable it in the server's \
         configuration (`jetstream {{}}`) and for the account"
    )]
    NoJetStream {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// The user lacks a right without which nothing works.
    #[error(
        "the user may not ask at {server} ({reason}): allow it to publish to $JS.API.> and to \
         subscribe below {inbox}"
    )]
    Denied {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
        /// The prefix of the inbox.
        inbox: String,
    },
    /// JetStream does not answer.
    #[error(
        "JetStream at {server} does not answer ({reason}): wait until the cluster has a leader, or \
         look at the server's log"
    )]
    Silent {
        /// The server.
        server: String,
        /// What came last.
        reason: String,
    },
}

impl ConnectError {
    /// What the client says when it cannot connect.
    pub(crate) fn of(address: &Address, error: &async_nats::ConnectError) -> Self {
        let server = address.to_string();
        let reason = told(error);
        match error.kind() {
            ConnectErrorKind::Tls => Self::Tls { server, reason },
            ConnectErrorKind::AuthorizationViolation => Self::WrongCredentials { server, reason },
            ConnectErrorKind::Authentication => Self::BadCredentials {
                what: "the nkey seed".into(),
                reason,
            },
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => match origin(error) {
                Origin::Tls => Self::Tls { server, reason },
                // "User Authentication Expired" and its like.
                Origin::Server => Self::WrongCredentials { server, reason },
                Origin::Other => Self::Unreachable { server, reason },
            },
        }
    }
}

/// Where an error of input and output comes from.
enum Origin {
    Tls,
    Server,
    Other,
}

fn origin(error: &async_nats::ConnectError) -> Origin {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        // An I/O error hides what it wraps: its source is the wrapped error's source.
        let inner: &(dyn Error + 'static) = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => inner,
            None => error,
        };
        if inner.is::<async_nats::rustls::Error>() {
            return Origin::Tls;
        }
        if inner.is::<ServerError>() {
            return Origin::Server;
        }
        next = error.source();
    }
    Origin::Other
}

/// The innermost text: the outer ones repeat it.
fn told(error: &async_nats::ConnectError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}
