//! One nats-server: how it is configured, and its life.

use crate::ports::Port;
use crate::process::{Process, until};
use crate::store::{self, Folder};
use crate::{ServerError, Trying, binary, monitor};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A nats-server of one's own, with a store of its own. It is killed and its store removed when
/// this value is dropped, and also when the process ends in any other way.
#[derive(Debug)]
pub struct NatsServer {
    // Dropped in this order: the process must be gone before its folder and its ports are.
    process: Mutex<Option<Process>>,
    settings: Mutex<NatsServerBuilder>,
    name: String,
    port: Port,
    monitor: Port,
    route: Option<Port>,
    routes: Mutex<Vec<u16>>,
    folder: Folder,
}

/// How a [`NatsServer`] is to be.
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing until `start`"]
pub struct NatsServerBuilder {
    jetstream: bool,
    jetstream_config: String,
    config: String,
}

impl NatsServerBuilder {
    /// Without JetStream.
    pub fn without_jetstream(mut self) -> Self {
        self.jetstream = false;
        self
    }

    /// Adds configuration text, in nats-server's own language: accounts, users, TLS,
    /// `max_payload`, …
    pub fn config(mut self, text: impl AsRef<str>) -> Self {
        self.config.push_str(text.as_ref());
        self.config.push('\n');
        self
    }

    /// Adds configuration text to the `jetstream` block: `sync_interval`, `max_file_store`, …
    pub fn jetstream_config(mut self, text: impl AsRef<str>) -> Self {
        self.jetstream_config.push_str(text.as_ref());
        self.jetstream_config.push('\n');
        self
    }

    /// Starts the server and waits until it is ready.
    pub fn start(self) -> Result<NatsServer, ServerError> {
        let server = self.make("alone".into(), None)?;
        server.launch()?;
        server.wait_ready()?;
        Ok(server)
    }

    pub(crate) fn make(self, name: String, route: Option<Port>) -> Result<NatsServer, ServerError> {
        Ok(NatsServer {
            process: Mutex::new(None),
            settings: Mutex::new(self),
            name,
            port: Port::free()?,
            monitor: Port::free()?,
            route,
            routes: Mutex::new(Vec::new()),
            folder: Folder::fresh()?,
        })
    }
}

impl NatsServer {
    /// How the server is to be; JetStream is on.
    pub fn builder() -> NatsServerBuilder {
        NatsServerBuilder {
            jetstream: true,
            jetstream_config: String::new(),
            config: String::new(),
        }
    }

    /// Starts a server with JetStream and nothing else.
    pub fn start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// The address for clients, `nats://127.0.0.1:<port>`. It stays over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port.number)
    }

    /// The port for clients. It stays over restarts.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The server's name, which is unique in its cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, while the server runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// The folder in which JetStream keeps its store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// A page of the server's monitoring, such as `/jsz`.
    pub fn monitor(&self, path: &str) -> Result<serde_json::Value, ServerError> {
        monitor::page(self.monitor.number, path)
            .map(|(_, body)| body)
            .trying(|| format!("cannot read {path} of {}", self.name))
    }

    /// Ends the server as `kill -9` does, and waits until it is gone.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.process()
            .take()
            .map(drop)
            .ok_or(ServerError::NotRunning)
    }

    /// Asks the server to end, and waits until it has.
    pub fn stop(&self) -> Result<(), ServerError> {
        let process = self.process().take().ok_or(ServerError::NotRunning)?;
        process.signal("TERM")?;
        process.join()
    }

    /// Freezes the server: its connections stay open and nothing is answered.
    pub fn pause(&self) -> Result<(), ServerError> {
        let process = self.process();
        let process = process.as_ref().ok_or(ServerError::NotRunning)?;
        process.signal("STOP")?;
        process.stopped()
    }

    /// Lets a frozen server go on.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process()
            .as_ref()
            .ok_or(ServerError::NotRunning)?
            .signal("CONT")
    }

    /// Starts the server again on the same port and store, after killing it if it runs, and waits
    /// until it is ready.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.process().take();
        self.launch()?;
        self.wait_ready()
    }

    /// Replaces the settings; they hold from the next [`Self::restart`] on.
    pub fn set(&self, settings: NatsServerBuilder) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Copies the store to a folder. The server must not run.
    pub fn save_store(&self, to: &Path) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Err(ServerError::Running);
        }
        store::copy(&self.store(), to)
    }

    /// Replaces the store by what [`Self::save_store`] saved: the lost tail of a restored backup.
    /// The server must not run.
    pub fn restore_store(&self, from: &Path) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Err(ServerError::Running);
        }
        store::copy(from, &self.store())
    }

    /// A new folder beside the store, for saved stores, keys and the like; it goes with the server.
    pub fn folder(&self, name: &str) -> Result<PathBuf, ServerError> {
        let path = self.folder.path().join("more").join(name);
        fs::create_dir_all(&path).trying(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn launch(&self) -> Result<(), ServerError> {
        let path = self.folder.path().join("server.conf");
        fs::write(&path, self.config()).trying(|| format!("cannot write {}", path.display()))?;
        let process = Process::spawn(&binary()?, &path, &self.errors_path())?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until the server takes clients and, with JetStream, has recovered its streams and, in
    /// a cluster, knows a leader.
    pub fn wait_ready(&self) -> Result<(), ServerError> {
        let mut last = String::from("it does not listen");
        let ready = until(
            || match self.readiness() {
                Ok(None) => Some(Ok(())),
                Ok(Some(not_yet)) => {
                    last = not_yet;
                    None
                }
                Err(error) => Some(Err(error)),
            },
            || ServerError::NotReady {
                last: String::new(),
                log: self.log_end(),
            },
        );
        match ready {
            Ok(ready) => ready,
            Err(ServerError::NotReady { log, .. }) => Err(ServerError::NotReady { last, log }),
            Err(error) => Err(error),
        }
    }

    /// `None` when ready, else what is missing.
    fn readiness(&self) -> Result<Option<String>, ServerError> {
        let ended = self
            .process()
            .as_mut()
            .map(Process::ended)
            .ok_or(ServerError::NotRunning)?;
        if ended {
            return Err(ServerError::Ended {
                config: self.config(),
                log: self.log_end(),
            });
        }
        if let Err(error) = monitor::listens(self.port.number) {
            return Ok(Some(error.to_string()));
        }
        Ok(match monitor::page(self.monitor.number, "/healthz") {
            Ok((200, _)) => None,
            Ok((_, body)) => Some(body.to_string()),
            Err(error) => Some(error.to_string()),
        })
    }

    pub(crate) fn route_port(&self) -> Option<u16> {
        self.route.as_ref().map(|port| port.number)
    }

    pub(crate) fn set_routes(&self, routes: Vec<u16>) {
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    fn config(&self) -> String {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!(
            "server_name: {:?}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nlog_file: {:?}\n",
            self.name,
            self.port.number,
            self.monitor.number,
            self.log_path(),
        );
        if settings.jetstream {
            let (store, more) = (self.store(), &settings.jetstream_config);
            let _ = write!(text, "jetstream {{\nstore_dir: {store:?}\n{more}}}\n");
        }
        if let Some(port) = &self.route {
            let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
            let routes: String = routes
                .iter()
                .map(|port| format!("\"nats://127.0.0.1:{port}\"\n"))
                .collect();
            let _ = write!(
                text,
                "cluster {{\nname: \"tenure\"\nlisten: \"127.0.0.1:{}\"\nroutes: [\n{routes}]\n}}\n",
                port.number,
            );
        }
        text.push_str(&settings.config);
        text
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// What a server says before it has a log.
    fn errors_path(&self) -> PathBuf {
        self.folder.path().join("server.err")
    }

    fn log_end(&self) -> String {
        let errors = fs::read_to_string(self.errors_path()).unwrap_or_default();
        let log = self.log() + &errors;
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
