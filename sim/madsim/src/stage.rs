//! The cluster as its callers see it.

use crate::cluster::{Cluster, Kept};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::Site;
use tenure_core::api::Tenure;
use tenure_core::driver::Counters;
use tenure_core::id::Sequence;
use tenure_core::port::Message;
use tenure_core::step::{Span, Time};
use tenure_mem::store::Store;
use tenure_sim::Violation;
use tenure_sim::stage::{Hears, Log, Readers, Record, Stage, Stretches, Voids, Work};
use tokio::sync::watch;
use tokio::time::sleep;

/// The cluster as its callers see it.
pub(crate) struct Seen(pub(crate) Arc<Cluster>);

impl Stage for Seen {
    fn nodes(&self) -> usize {
        self.0.lives().len()
    }

    fn node(&self, node: usize) -> Option<Tenure> {
        self.0.tenure(node)
    }

    fn running(&self) -> Vec<usize> {
        let up = (0..self.nodes()).filter(|node| self.0.tenure(*node).is_some());
        up.filter(|node| self.0.setting().is_meant_to_be(*node))
            .collect()
    }

    fn ups(&self) -> watch::Receiver<u64> {
        self.0.ups()
    }

    fn random(&self, row: u64, bound: u64) -> u64 {
        self.0.setting().random(row, bound)
    }

    fn is_asked(&self, client: u64, number: u64) -> bool {
        self.0.setting().is_asked(client, number)
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.0.now())
    }

    fn sleep_until(&self, at: Time) -> Work {
        let left = at.as_nanos().saturating_sub(self.0.now());
        Box::pin(sleep(Duration::from_nanos(left)))
    }

    fn spawn(&self, work: Work) {
        self.0.beside(work);
    }

    fn kill(&self, node: usize) {
        self.0.ends(node, self.0.life(node), None);
    }

    fn start(&self, node: usize) {
        self.0.starts(node);
    }

    fn pause(&self, node: usize, length: Span) {
        self.0.stands_still(node, length, false);
    }

    fn heal(&self, all: bool) -> Vec<usize> {
        crate::trouble::heal(&self.0, all)
    }

    fn stretches(&self) -> Stretches {
        self.0.setting().stretches()
    }

    fn log(&self) -> Result<Log, Violation> {
        self.0
            .with_store(|store| self.0.setting().log(&Kept(store)))
    }

    fn ends(&self) -> Vec<Sequence> {
        let streams = self.0.setting().event_streams();
        let last = |store: &mut _| streams.iter().map(|it| Store::last(store, it)).collect();
        self.0.with_store(last)
    }

    fn shards(&self) -> u16 {
        self.0.setting().shards()
    }

    fn readers(&self) -> Readers {
        self.0.setting().readers()
    }

    fn records(&self, from: usize) -> Vec<Record> {
        self.0.setting().records(from)
    }

    fn values(&self) -> Vec<Message> {
        let stream = self.0.setting().namespace().value_stream();
        self.0.messages(&stream)
    }

    fn deletes(&self) -> bool {
        self.0.setting().deletes()
    }

    fn stored(&self) -> Vec<Record> {
        self.0.setting().stored()
    }

    fn stood_still(&self, node: usize) -> Vec<Range<u64>> {
        self.0.stood_still(node)
    }

    fn on_bus(&self) -> Vec<Message> {
        let stream = self.0.setting().namespace().bus_stream();
        self.0.messages(&stream)
    }

    fn heard(&self, node: usize, from: usize) -> Vec<Hears> {
        self.0.setting().given(node, from)
    }

    fn voids(&self) -> Voids {
        self.0.setting().voids()
    }

    fn counted(&self, node: usize, counters: &Counters) {
        self.0.setting().counted(node, counters);
    }

    fn note(&self, line: &str) {
        self.0.setting().remark(line);
    }

    fn replicated(&self) -> bool {
        self.0.setting().replicated()
    }

    fn hit(&self, site: &'static Site, holds: bool) {
        self.0.setting().hit(site, holds);
    }
}
