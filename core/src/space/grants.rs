//! What a user of a namespace is to be granted on a nats-server, and nothing more (S1).

use crate::id::Partition;
use crate::name::Namespace;
use crate::port::StreamName;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// The rights that a program needs in a namespace: NATS subjects that it may publish to and subscribe to.
///
/// Written out it is the `permissions` of a user in a nats-server's configuration:
///
/// ```
/// use tenure_core::name::Namespace;
/// use tenure_core::space::Grants;
///
/// let bank: Namespace = "bank".parse()?;
/// let reader = Grants::new(&bank).streams(8);
/// assert!(reader.publish().contains(&"$JS.API.STREAM.INFO.bank_ev_7".to_owned()));
/// println!("permissions: {}", reader.cluster().consumers());
/// # Ok::<(), tenure_core::name::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it grants nothing by itself"]
pub struct Grants {
    namespace: Namespace,
    streams: u16,
    create: bool,
    consumers: bool,
    bus: bool,
    values: bool,
    cluster: bool,
}

impl Grants {
    /// Those of a program that reads and writes entities of a namespace with one event stream, and makes the
    /// namespace when it is absent.
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            namespace: namespace.clone(),
            streams: 1,
            create: true,
            consumers: false,
            bus: false,
            values: false,
            cluster: false,
        }
    }

    /// How many event streams the namespace has: on a cluster of servers 8, unless it was made with another
    /// number.
    pub fn streams(mut self, streams: u16) -> Self {
        self.streams = streams;
        self
    }

    /// Without the right to make streams: they are there already.
    pub fn without_create(mut self) -> Self {
        self.create = false;
        self
    }

    /// With what a program needs that runs consumers or projections.
    pub fn consumers(mut self) -> Self {
        self.consumers = true;
        self
    }

    /// With what a program needs that listens to the bus of the namespace, and publishes or subscribes
    /// durably: consumers' rights are among it. To publish live nothing is needed beyond a namespace's.
    pub fn bus(mut self) -> Self {
        (self.consumers, self.bus) = (true, true);
        self
    }

    /// With what a program needs that has a projection in the namespace's bucket: consumers' rights are among
    /// it.
    pub fn values(mut self) -> Self {
        (self.consumers, self.values) = (true, true);
        self
    }

    /// With what a node of a cluster needs.
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// The subjects that may be subscribed to.
    pub fn subscribe(&self) -> Vec<String> {
        let namespace = &self.namespace;
        let mut subjects = vec!["_INBOX.>".into()];
        let of = |subject| format!("{namespace}.{subject}");
        if self.cluster {
            subjects.extend(["node.>", "hb.*", "rep.>"].map(of));
        }
        if self.bus {
            subjects.push(of("cast.>"));
        }
        subjects
    }

    /// The subjects that may be published to.
    pub fn publish(&self) -> Vec<String> {
        self.lines().concat()
    }

    /// The same, those that belong together in one line.
    fn lines(&self) -> Vec<Vec<String>> {
        let api = |right: &str, streams: &[StreamName]| -> Vec<String> {
            let streams = streams.iter();
            streams.map(|it| format!("$JS.API.{right}.{it}")).collect()
        };
        let all = self.all();
        // What consumers leave is read where it is stored last, by subject alone.
        let by_subject = [
            self.namespace.consumer_stream(),
            self.namespace.value_stream(),
        ];
        let by_place: Vec<_> = all
            .iter()
            .filter(|it| !by_subject.contains(it))
            .cloned()
            .collect();
        let mut own = vec![format!("{}.>", self.namespace)];
        if self.values {
            own.extend(self.namespace.value_stream_subjects());
        }
        let mut lines = vec![own, vec!["$JS.API.INFO".into()]];
        if self.create {
            lines.push(api("STREAM.CREATE", &all));
        }
        lines.push(api("STREAM.INFO", &all));
        lines.push(api("STREAM.MSG.GET", &by_place));
        lines.push(api("DIRECT.GET", &all));
        if self.consumers {
            let rights = ["CREATE", "MSG.NEXT", "DELETE"];
            let of =
                |stream: StreamName| rights.map(|it| format!("$JS.API.CONSUMER.{it}.{stream}.*"));
            lines.extend(self.events().into_iter().map(|stream| of(stream).into()));
            if self.bus {
                lines.push(of(self.namespace.bus_stream()).into());
            }
        }
        lines
    }

    fn events(&self) -> Vec<StreamName> {
        let streams = (0..self.streams).map(|it| self.namespace.event_stream(Partition(it)));
        streams.collect()
    }

    fn all(&self) -> Vec<StreamName> {
        let it = &self.namespace;
        let mut streams = vec![it.control_stream(), it.snapshot_stream()];
        if self.consumers {
            streams.push(it.consumer_stream());
        }
        if self.bus {
            streams.push(it.bus_stream());
        }
        if self.values {
            streams.push(it.value_stream());
        }
        if self.cluster {
            streams.push(it.member_stream());
        }
        streams.extend(self.events());
        streams
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |subjects: &[String]| {
            let subjects: Vec<_> = subjects.iter().map(|it| format!("\"{it}\"")).collect();
            subjects.join(", ")
        };
        writeln!(f, "{{")?;
        writeln!(f, "  subscribe: [{}]", quoted(&self.subscribe()))?;
        writeln!(f, "  publish: [")?;
        for line in self.lines() {
            writeln!(f, "    {}", quoted(&line))?;
        }
        write!(f, "  ]\n}}")
    }
}
