//! How to connect: servers, credentials, TLS, limits.

use crate::ConnectError;
use crate::address::{self, Address, BadAddress};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tenure_core::step::{Limits, Span};

/// Requests in flight at most, over all streams: a stream's inbound queue holds 10,000 messages of
/// all clients, and what does not fit is refused.
pub(crate) const IN_FLIGHT_MAX: usize = 1_024;

/// How to connect to NATS.
///
/// ```
/// use tenure_nats::NatsOptions;
///
/// let options = NatsOptions::new("nats://127.0.0.1:4222")
///     .user("orders", "secret")
///     .name("orders-1");
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `NatsShell::connect`"]
pub struct NatsOptions {
    servers: String,
    credentials: Credentials,
    tls_required: bool,
    tls_first: bool,
    tls_ca: Option<PathBuf>,
    tls_identity: Option<(PathBuf, PathBuf)>,
    pub(crate) name: String,
    pub(crate) inbox_prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) store_timeout: Duration,
    pub(crate) in_flight_max: usize,
}

/// Who the client is to the server.
#[derive(Clone)]
enum Credentials {
    None,
    User { name: String, password: String },
    Token(String),
    NkeySeed(String),
    CredsText(String),
    CredsFile(PathBuf),
}

impl NatsOptions {
    /// Connects to one server, or to the first that answers of several with commas between them.
    ///
    /// A server is `host`, `host:port`, `nats://host:port` or `tls://host:port`, in front of the
    /// host `user:password@` or `token@`. Further servers of a cluster are learnt from it.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            credentials: Credentials::None,
            tls_required: false,
            tls_first: false,
            tls_ca: None,
            tls_identity: None,
            name: "tenure".into(),
            inbox_prefix: "_INBOX".into(),
            connect_timeout: Duration::from_secs(5),
            store_timeout: Limits::default().store_timeout.into(),
            in_flight_max: IN_FLIGHT_MAX,
        }
    }

    /// Authenticates with a user's name and password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Credentials::User {
            name: name.into(),
            password: password.into(),
        };
        self
    }

    /// Authenticates with a token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(token.into());
        self
    }

    /// Authenticates with the seed of an nkey (`SU…`).
    pub fn nkey_seed(mut self, seed: impl Into<String>) -> Self {
        self.credentials = Credentials::NkeySeed(seed.into());
        self
    }

    /// Authenticates with a creds file, which is read anew at each connection.
    pub fn creds_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::CredsFile(path.into());
        self
    }

    /// Authenticates with the text of a creds file.
    pub fn creds(mut self, text: impl Into<String>) -> Self {
        self.credentials = Credentials::CredsText(text.into());
        self
    }

    /// Speaks TLS or not at all, also to servers that do not require it.
    pub fn require_tls(mut self) -> Self {
        self.tls_required = true;
        self
    }

    /// Begins with the TLS handshake, for servers with `handshake_first`.
    pub fn tls_first(mut self) -> Self {
        self.tls_first = true;
        self.require_tls()
    }

    /// Trusts the certificate authorities in a PEM file, in place of the system's.
    pub fn tls_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(path.into());
        self
    }

    /// Presents a client certificate; both files are PEM.
    pub fn tls_identity(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls_identity = Some((cert.into(), key.into()));
        self
    }

    /// Names the connection, for the server's monitoring. By default `tenure`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Listens for answers below this subject, where the user has rights for no other. By default
    /// `_INBOX`.
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.inbox_prefix = prefix.into();
        self
    }

    /// Takes at most this long to reach one server. By default five seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Answers a store request `Unknown` after this long (`Limits::store_timeout`).
    pub fn store_timeout(mut self, timeout: Span) -> Self {
        self.store_timeout = timeout.into();
        self
    }

    /// Has at most this many store requests in flight, 1,024 by default; more wait.
    pub fn in_flight_max(mut self, in_flight_max: usize) -> Self {
        self.in_flight_max = in_flight_max.max(1);
        self
    }

    /// The servers, with the credentials that the text had.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, ConnectError> {
        address::parse(&self.servers)
            .map_err(|BadAddress { url, reason }| ConnectError::BadUrl { url, reason })
    }

    /// How often the client asks whether the server lives. Three unanswered pings end a
    /// connection, and they do before a request that was handed over times out: what the client
    /// could not write by then goes with the connection (S8).
    fn ping_interval(&self) -> Duration {
        (self.store_timeout / 5).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// What the client is told, all but where to connect.
    pub(crate) fn client(
        &self,
        address: &Address,
    ) -> Result<async_nats::ConnectOptions, ConnectError> {
        let mut options = async_nats::ConnectOptions::new()
            .name(&self.name)
            .ping_interval(self.ping_interval())
            .connection_timeout(self.connect_timeout)
            .subscription_capacity(131_072)
            // The shell looks at each subject itself, and is stricter.
            .skip_subject_validation(true)
            .client_capacity(self.in_flight_max.max(64))
            .require_tls(self.tls_required)
            .ignore_discovered_servers()
            .retain_servers_order();
        if self.tls_first {
            options = options.tls_first();
        }
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((cert, key)) = &self.tls_identity {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        match self.credentials {
            Credentials::None => address.credentials().tell(options),
            Credentials::User { .. }
            | Credentials::Token(_)
            | Credentials::NkeySeed(_)
            | Credentials::CredsText(_)
            | Credentials::CredsFile(_) => self.credentials.tell(options),
        }
    }
}

impl Credentials {
    fn tell(
        &self,
        options: async_nats::ConnectOptions,
    ) -> Result<async_nats::ConnectOptions, ConnectError> {
        let creds = |options: async_nats::ConnectOptions, text: &str, what: String| {
            options
                .credentials(text)
                .map_err(|error| ConnectError::BadCredentials {
                    what,
                    reason: error.to_string(),
                })
        };
        match self {
            Self::None => Ok(options),
            Self::User { name, password } => {
                Ok(options.user_and_password(name.clone(), password.clone()))
            }
            Self::Token(token) => Ok(options.token(token.clone())),
            Self::NkeySeed(seed) => Ok(options.nkey(seed.clone())),
            Self::CredsText(text) => creds(options, text, "the creds text".into()),
            Self::CredsFile(path) => {
                let what = format!("creds file {}", path.display());
                match std::fs::read_to_string(path) {
                    Ok(text) => creds(options, &text, what),
                    Err(error) => Err(ConnectError::BadCredentials {
                        what,
                        reason: error.to_string(),
                    }),
                }
            }
        }
    }
}

impl Address {
    fn credentials(&self) -> Credentials {
        match (&self.user, &self.password) {
            (Some(name), Some(password)) => Credentials::User {
                name: name.clone(),
                password: password.clone(),
            },
            (Some(token), None) => Credentials::Token(token.clone()),
            (None, _) => Credentials::None,
        }
    }
}

impl From<&str> for NatsOptions {
    fn from(servers: &str) -> Self {
        Self::new(servers)
    }
}

impl From<String> for NatsOptions {
    fn from(servers: String) -> Self {
        Self::new(servers)
    }
}

/// Secrets are left out.
impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = match &self.credentials {
            Credentials::None => "none",
            Credentials::User { .. } => "user and password",
            Credentials::Token(_) => "token",
            Credentials::NkeySeed(_) => "nkey",
            Credentials::CredsText(_) | Credentials::CredsFile(_) => "creds",
        };
        f.debug_struct("NatsOptions")
            .field("servers", &address::redacted(&self.servers))
            .field("credentials", &credentials)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::NatsOptions;
    use std::time::Duration;
    use tenure_core::step::Span;

    #[test]
    fn no_secret_is_shown() {
        let options = NatsOptions::new("nats://u:secret@host").nkey_seed("SUsecret");
        assert!(!format!("{options:?}").contains("secret"), "{options:?}");
    }

    #[test]
    fn a_dead_connection_ends_before_a_request_times_out() {
        for millis in [500, 1_000, 5_000, 60_000] {
            let options = NatsOptions::new("x").store_timeout(Span::from_millis(millis));
            let ping = options.ping_interval();
            assert!(ping * 3 < Duration::from_millis(millis), "{millis}");
            assert!(ping <= Duration::from_secs(2));
        }
    }
}
