//! How what befalls the cluster comes about: nodes of madsim are killed, paused and started again,
//! their links are clogged, and the network is slow and loses.

use crate::cluster::{Cluster, Kept, Place};
use crate::nats::Way as Turn;
use madsim::net::NetSim;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::id::Sequence;
use tenure_core::step::Span;
use tenure_sim::stage::{Befalls, Way, Weather, ownership_records};
use tenure_sim::{Class, Fault, Violation};
use tokio::time::sleep;

/// How long a node that is well takes to be connected again.
const CONNECTS_IN: Duration = Duration::from_secs(1);

/// How long it takes until a server sees that a connection has ended.
const CLOSES_IN: Span = Span::from_millis(500);

/// The network is so from now on.
pub(crate) fn set_weather(weather: Weather) {
    let (shortest, longest) = weather.latency;
    NetSim::current().update_config(|config| {
        config.send_latency = shortest.into()..longest.into();
        config.packet_loss_rate = per_mille(weather.lost_per_mille);
    });
}

#[allow(clippy::cast_precision_loss, reason = "it is below 1,000")]
fn per_mille(rate: u64) -> f64 {
    rate as f64 / 1_000.0
}

/// Each kind of fault comes in its rhythm until everything heals.
pub(crate) fn begin(cluster: &Arc<Cluster>) {
    for fault in Fault::ALL {
        let troubled = Arc::clone(cluster);
        cluster.beside(async move {
            loop {
                let wait = troubled.setting().wait(fault);
                let Some(wait) = wait else { return };
                sleep(wait.into()).await;
                let lives = troubled.lives();
                let befalls = troubled.setting().befall(fault, &lives);
                if let Some(befalls) = befalls {
                    befall(&troubled, befalls);
                }
            }
        });
    }
}

fn befall(cluster: &Arc<Cluster>, befalls: Befalls) {
    match befalls {
        Befalls::Dies { node, away } => cluster.ends(node, cluster.life(node), Some(away)),
        Befalls::Pauses {
            node,
            length,
            suspended,
        } => cluster.stands_still(node, length, suspended),
        Befalls::LinkDown { node, length } => {
            cluster.hold_link(node, cluster.now() + length.as_nanos());
        }
        Befalls::Clogged { nodes, way, length } => clog(cluster, &nodes, way, length),
        Befalls::Parted { cut, length } => {
            clog(cluster, &cut, Way::Both, length);
            cluster.after(length, |cluster| cluster.setting().reunite());
        }
        Befalls::Stops { node, away } => stop(cluster, node, away),
        Befalls::StoreGone { killed, length } => {
            match killed {
                true => cluster.kills_servers(),
                false => {
                    for server in cluster.servers() {
                        cluster.handle.pause(server);
                    }
                }
            }
            cluster.after(length, |cluster| cluster.servers_are_back());
        }
        Befalls::Elects { server, length } => {
            if let Some(server) = server {
                cluster.nats().kill(cluster, server);
                cluster.after(length, |cluster| cluster.servers_are_back());
            }
        }
        Befalls::Loses {
            stream,
            messages,
            links,
        } => {
            if links {
                cluster.kills_servers();
            }
            let (last, lost) = cluster.with_store(|store| {
                let last = store.last(&stream).0;
                let keep_up_to = Sequence(last.saturating_sub(messages).max(u64::from(links)));
                let lost = store
                    .messages(&stream)
                    .filter(|it| it.sequence > keep_up_to);
                let lost: Vec<_> = lost.cloned().collect();
                store.lose_tail(&stream, keep_up_to);
                (store.last(&stream), lost)
            });
            let mut setting = cluster.setting();
            if setting.event_streams().contains(&stream) {
                setting.tail_is_lost((&stream, last), &lost);
            }
            drop(setting);
            if links {
                let length = Span::from_millis(20);
                cluster.after(length, |cluster| cluster.servers_are_back());
            }
        }
        Befalls::Slows { node, length } => cluster.slows(node, length),
        Befalls::Leads { stream } => {
            cluster.with_store(|store| store.drop_proposals_of(&stream));
        }
        Befalls::LosesRecord { stream, index } => {
            let namespace = cluster.setting().namespace().clone();
            cluster.with_store(|store| {
                let records = ownership_records(&namespace, store.messages(&stream));
                let index = usize::try_from(index).expect("a small number");
                if let Some((record, sequence)) = records.get(index % records.len().max(1)) {
                    cluster.setting().record_is_deleted(&Kept(store), record);
                    store.delete(&stream, *sequence);
                }
            });
        }
        Befalls::ForgetsConsumers { stream } => match &cluster.store {
            Place::Model(model) => model
                .store
                .with_store(|store| store.forget_consumers_of(&stream)),
            Place::Nats(servers) => servers.forget_consumers_of(&stream),
        },
        Befalls::HalfOpen { node } => cluster.nats().turn(node, Turn::Dead),
        Befalls::TakesNothing { node, length } => {
            let until = cluster.now() + length.as_nanos();
            cluster.nats().turn(node, Turn::Stalled(until));
        }
        Befalls::AllLinksBreak => cluster.nats().end_all(),
        Befalls::Restarts { length } => {
            cluster.nats().restart(cluster);
            cluster.after(length, |cluster| cluster.servers_are_back());
        }
        Befalls::ClockJumps { .. } => cluster.clock_changed(),
        Befalls::ClockStops { node, length } => {
            cluster.clock_changed();
            cluster.after(length, move |cluster| {
                cluster.setting().thaw(node);
                cluster.clock_changed();
            });
        }
        // It is asked anew each time.
        Befalls::WallSet { .. } => {}
    }
}

fn clog(cluster: &Arc<Cluster>, nodes: &[usize], way: Way, length: Span) {
    let ids: Vec<_> = nodes
        .iter()
        .map(|node| (*node, cluster.id(*node)))
        .collect();
    let net = NetSim::current();
    for (_, id) in &ids {
        match way {
            Way::In => net.clog_node_in(*id),
            Way::Out => net.clog_node_out(*id),
            Way::Both => net.clog_node(*id),
        }
    }
    cluster.after(length, move |cluster| {
        for (node, id) in ids {
            // Who is cut off for good stays so.
            if cluster.setting().is_meant_to_be(node) {
                NetSim::current().unclog_node(id);
            }
        }
    });
}

/// A node's program is told to stop.
fn stop(cluster: &Arc<Cluster>, node: usize, away: Span) {
    let (Some(tenure), Some(tasks)) = (cluster.tenure(node), cluster.tasks(node)) else {
        return;
    };
    let (cluster, life) = (Arc::clone(cluster), cluster.life(node));
    tasks.spawn(async move {
        tenure.stop().await;
        drop(tenure);
        cluster.ends(node, life, Some(away));
    });
}

/// No fault comes any more; gives the nodes that are well again.
pub(crate) fn heal(cluster: &Arc<Cluster>, all: bool) -> Vec<usize> {
    let (core, rest) = cluster.setting().heal(all);
    set_weather(Weather::FAIR);
    tokio::net::set_piece_max(usize::MAX);
    let net = NetSim::current();
    cluster.servers_are_back();
    for (node, dead) in rest {
        match dead {
            true => cluster.ends(node, cluster.life(node), None),
            false => net.clog_node(cluster.id(node)),
        }
    }
    for node in &core {
        let id = cluster.id(*node);
        net.unclog_node(id);
        cluster.hold_link(*node, 0);
        cluster.is_well(*node);
        cluster.setting().thaw(*node);
        cluster.starts(*node);
    }
    cluster.clock_changed();
    let half_open = cluster.setting().half_open(&core);
    if let Some(node) = half_open {
        cluster.beside(half_opens(Arc::clone(cluster), node));
    }
    core
}

/// Waits until each node that is well has found out that a connection of its is half open.
pub(crate) async fn is_over(cluster: &Cluster) {
    let Place::Nats(servers) = &cluster.store else {
        return;
    };
    loop {
        let half_open = servers.half_open();
        let well = |node: usize| cluster.setting().is_meant_to_be(node);
        if !half_open.into_iter().any(|(_, node)| well(node)) {
            return;
        }
        sleep(CONNECTS_IN).await;
    }
}

/// A connection of a node that is well is half open, which its client has to find out before a request that
/// was handed over is given up (S8).
async fn half_opens(cluster: Arc<Cluster>, node: usize) {
    sleep(CONNECTS_IN).await;
    let before = cluster.nats().half_open();
    cluster.nats().turn(node, Turn::Dead);
    let patience = cluster.setting().store_timeout() + CLOSES_IN;
    sleep(patience.into()).await;
    let now = cluster.nats().half_open();
    if now.iter().any(|it| it.1 == node && !before.contains(it)) {
        cluster.setting().breaks(Violation {
            class: Class::Liveness,
            oracle: "half-open",
            what: format!("n{node} has not found out in {patience} that its connection is (S8)"),
        });
    }
}
