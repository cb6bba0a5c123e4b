//! A connection of a node to a server, at the server's end: bytes are cut into operations, and each goes
//! its way.

use super::{Opened, PORT, address};
use crate::cluster::Cluster;
use bytes::{Bytes, BytesMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tenure_core::step::Span;
use tenure_mem::nats::ConnectionId;
use tenure_sim::stage::{Brought, Carriage, Carried, Leader, Operation};
use tenure_sim::{Kind, Lane};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How the way between a node and its server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// The node takes nothing before a true time, in nanoseconds.
    Stalled(u64),
    /// Nothing comes through, and neither end is told.
    Dead,
    /// Both ends are told that it is over.
    Ended,
}

/// Takes connections until its node ends.
pub(super) async fn serve(cluster: Arc<Cluster>, server: usize) {
    let at = SocketAddr::from((address(server), PORT));
    let socket = loop {
        match TcpListener::bind(at).await {
            Ok(socket) => break socket,
            // What had the address before is not quite gone.
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    };
    loop {
        let Ok((stream, from)) = socket.accept().await else {
            return;
        };
        if let Some(node) = node_at(from.ip()) {
            tokio::spawn(connection(Arc::clone(&cluster), (server, node), stream));
        }
    }
}

/// The node that has an address.
fn node_at(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [10, 0, 1, last] => Some(usize::from(last).checked_sub(1)?),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// What a server's end of a connection knows.
struct Line {
    cluster: Arc<Cluster>,
    node: usize,
    id: ConnectionId,
    /// What comes later than what follows it.
    late: mpsc::UnboundedSender<Bytes>,
}

async fn connection(cluster: Arc<Cluster>, (server, node): (usize, usize), stream: TcpStream) {
    let mut held = cluster.held(node);
    if *held.borrow_and_update() > cluster.now() {
        // Its link is held down.
        return;
    }
    let Opened { id, ready, mut way } = cluster.nats().open(&cluster, server, node);
    let (late, mut later) = mpsc::unbounded_channel();
    let line = Line {
        cluster: Arc::clone(&cluster),
        node,
        id,
        late,
    };
    let (mut from, mut to) = tokio::io::split(stream);
    let (mut came, mut ends) = (BytesMut::new(), false);
    while !ends {
        let turn = *way.borrow_and_update();
        let stalled = match turn {
            Way::Open => Duration::ZERO,
            Way::Stalled(until) => Duration::from_nanos(until.saturating_sub(cluster.now())),
            Way::Ended => break,
            Way::Dead => {
                // Each end finds out by itself.
                cluster.nats().half_opens(id);
                let client = async {
                    while matches!(from.read_buf(&mut came).await, Ok(1..)) {
                        came.clear();
                    }
                    cluster.nats().found_out(id);
                };
                tokio::join!(dead(&line, &ready), client);
                break;
            }
        };
        tokio::select! {
            biased;
            changed = held.changed() => {
                let until = *held.borrow_and_update();
                ends = changed.is_err() || until > cluster.now();
            }
            changed = way.changed() => ends = changed.is_err(),
            () = sleep(stalled), if stalled > Duration::ZERO => ready.notify_one(),
            () = ready.notified(), if stalled == Duration::ZERO => {
                let taken = cluster.nats().take(id);
                let bytes = line.brings(taken.bytes);
                ends = to.write_all(&bytes).await.is_err() || taken.ends;
            }
            Some(bytes) = later.recv() => ends = to.write_all(&bytes).await.is_err(),
            read = from.read_buf(&mut came) => {
                ends = !matches!(read, Ok(1..));
                while let Some(operation) = Operation::next(&mut came) {
                    line.carries(operation).await;
                }
            }
        }
    }
    cluster.nats().close(&cluster, id);
}

/// Nothing comes through any more: what there is for the node is lost until its server finds out.
async fn dead(line: &Line, ready: &tokio::sync::Notify) {
    let servers = line.cluster.nats();
    while !servers.take(line.id).ends {
        ready.notified().await;
    }
    servers.close(&line.cluster, line.id);
}

impl Line {
    /// An operation of the node goes its way.
    async fn carries(&self, operation: Operation) {
        let Self {
            cluster, node, id, ..
        } = self;
        let (servers, node) = (cluster.nats(), *node);
        let asks = operation.asks();
        let carriage = {
            let mut setting = cluster.setting();
            setting.note(2, &[node as u64]);
            setting.bytes(operation.bytes());
            let carriage = asks.map_or(Carriage::THERE, |asks| setting.carriage(node, asks));
            setting.tells((Lane::Node(node), Kind::Does), 0, || {
                let line = operation.line();
                match carriage == Carriage::THERE {
                    true => format!("n{node} says {line}"),
                    false => format!("n{node} says {line}: {carriage:?}"),
                }
            });
            carriage
        };
        let Carriage {
            after,
            copies,
            lost,
            refused,
        } = carriage;
        let is_for_leader = asks.is_some_and(Carried::is_for_leader);
        for copy in copies {
            let (cluster, bytes) = (Arc::clone(cluster), operation.bytes().clone());
            cluster.after(copy, move |cluster| {
                if !is_for_leader || cluster.setting().leader() == Leader::There {
                    cluster.nats().comes_late(cluster, &bytes);
                }
            });
        }
        if lost {
            return;
        }
        if after > Span::ZERO {
            sleep(after.into()).await;
        }
        let leader = match is_for_leader {
            true => cluster.setting().leader(),
            false => Leader::There,
        };
        if leader == Leader::Silent {
            let said = operation.line();
            cluster.setting().tell(node, || {
                format!("nobody leads, and takes {said} of n{node}")
            });
            return;
        }
        let refused = refused || leader == Leader::Absent;
        let bytes = BytesMut::from(&**operation.bytes());
        servers.receive(cluster, *id, bytes, refused);
    }

    /// What comes through at once of what a server has for the node.
    fn brings(&self, bytes: Bytes) -> BytesMut {
        let (mut rest, mut through) = (BytesMut::from(bytes), BytesMut::new());
        while let Some(operation) = Operation::next(&mut rest) {
            let node = self.node;
            let mut setting = self.cluster.setting();
            setting.note(3, &[node as u64]);
            setting.bytes(operation.bytes());
            let copies = match operation.brings() {
                None => vec![Span::ZERO],
                Some(Brought::Answer) => setting.answer(node),
                Some(Brought::Part) => setting.part(node),
                Some(Brought::Delivery { is_last }) => setting.delivery(node, is_last),
                Some(Brought::Announcement) => setting.announcement(node),
                Some(Brought::Cast) => setting.cast(node),
            };
            setting.tells((Lane::Node(node), Kind::Takes), 0, || {
                let line = operation.line();
                match copies[..] {
                    [Span::ZERO] => format!("n{node} is told {line}"),
                    _ => format!("n{node} is told {line}: {copies:?}"),
                }
            });
            drop(setting);
            for after in copies {
                if after == Span::ZERO {
                    through.extend_from_slice(operation.bytes());
                    continue;
                }
                let (late, bytes) = (self.late.clone(), operation.bytes().clone());
                self.cluster.after(after, move |_| {
                    // Nobody hears it when the connection is over.
                    let _ = late.send(bytes);
                });
            }
        }
        through
    }
}
