//! The driver world as its callers see it.

use super::executor::Work;
use super::log::Log;
use super::shell::Sleep;
use super::world::{Home, World};
use crate::deviation::{Deviation, Promise};
use crate::draw::What;
use crate::oracle::Violation;
use crate::stage::{Hears, Readers, Record, Stage, Stretches};
use crate::voids::Voids;
use crate::world::{Kind, Lane};
use std::ops::Range;
use std::sync::Arc;
use tenure_core::api::Tenure;
use tenure_core::driver::Counters;
use tenure_core::id::Sequence;
use tenure_core::port::Message;
use tenure_core::step::{Span, Time};
use tenure_core::{Probe as _, Site};
use tokio::sync::watch;

impl Stage for Arc<World> {
    fn nodes(&self) -> usize {
        self.state().nodes.len()
    }

    fn node(&self, node: usize) -> Option<Tenure> {
        self.state().nodes.get(node)?.tenure.clone()
    }

    fn running(&self) -> Vec<usize> {
        let state = self.state();
        (0..state.nodes.len())
            .filter(|node| state.nodes[*node].tenure.is_some() && !state.nodes[*node].given_up)
            .collect()
    }

    fn ups(&self) -> watch::Receiver<u64> {
        self.ups.subscribe()
    }

    fn random(&self, row: u64, bound: u64) -> u64 {
        self.state().draws.below(What::Test, row, bound)
    }

    fn is_asked(&self, client: u64, number: u64) -> bool {
        let ask = Deviation::Ask { client, number };
        self.state().draws.deviations.happens(ask)
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.state().now)
    }

    fn sleep_until(&self, at: Time) -> Work {
        Box::pin(Sleep::new(self, Home::TESTER, at))
    }

    fn spawn(&self, work: Work) {
        self.state().spawn(Home::TESTER, work);
    }

    fn kill(&self, node: usize) {
        let mut state = self.state();
        if state.home_of(node).is_some() {
            state.dies(node);
        }
    }

    fn start(&self, node: usize) {
        self.state().boot(node);
    }

    fn pause(&self, node: usize, length: Span) {
        self.state().stand_still(node, length);
    }

    fn heal(&self, all: bool) -> Vec<usize> {
        self.state().heal(all)
    }

    fn stretches(&self) -> Stretches {
        self.state().plan.stretches()
    }

    fn log(&self) -> Result<Log, Violation> {
        self.state().log()
    }

    fn ends(&self) -> Vec<Sequence> {
        let state = self.state();
        let streams = state.plan.event_streams();
        streams.iter().map(|it| state.store.last(it)).collect()
    }

    fn shards(&self) -> u16 {
        self.state().plan.shards
    }

    fn readers(&self) -> Readers {
        self.state().plan.readers
    }

    fn records(&self, from: usize) -> Vec<Record> {
        self.state().written.records(from)
    }

    fn values(&self) -> Vec<Message> {
        let state = self.state();
        let stream = state.namespace.value_stream();
        state.store.messages(&stream).cloned().collect()
    }

    fn deletes(&self) -> bool {
        self.state().plan.deletes
    }

    fn stored(&self) -> Vec<Record> {
        self.state().written.stored()
    }

    fn stood_still(&self, node: usize) -> Vec<Range<u64>> {
        let state = self.state();
        let node = state.nodes.get(node);
        node.map_or_else(Vec::new, |node| node.stood_still.clone())
    }

    fn on_bus(&self) -> Vec<Message> {
        let state = self.state();
        let stream = state.namespace.bus_stream();
        state.store.messages(&stream).cloned().collect()
    }

    fn heard(&self, node: usize, from: usize) -> Vec<Hears> {
        self.state().network.given.to(node, from)
    }

    fn voids(&self) -> Voids {
        let state = self.state();
        let since = state.draws.deviations.void_from(Promise::LeasedAlone);
        state.voids.clone().with_leased(since)
    }

    fn counted(&self, node: usize, counters: &Counters) {
        self.state().counted(node, counters);
    }

    fn replicated(&self) -> bool {
        self.state().plan.replicated
    }

    fn note(&self, line: &str) {
        self.state()
            .tell(Lane::Callers, Kind::Note, || line.to_owned());
    }

    fn hit(&self, site: &'static Site, holds: bool) {
        self.state().probe.hit(site, holds);
    }
}
