//! Which entity goes when a node keeps too many in memory: the one that was used longest ago, over
//! all shards. A pure structure: shards say what they keep, and it says whose turn it is.

use crate::log::Stock;
use crate::step::Limits;
use alloc::vec::Vec;
use core::mem;

/// What some shards of a node keep in memory, and how much they may.
///
/// A shard [enters](Self::enter), and after each of its steps its [`Stock`] is [`set`](Self::set). While [`excess`](Self::excess) names
/// a shard, that shard is to be given `Input::Evict`, and its stock set again.
///
/// - C1: no more than `entities_max` entities are in memory, and no more than `resting_bytes_max`
///   bytes are kept for those at rest, unless nothing is at rest any more.
/// - C2: the entity that goes is the one at rest that was used longest ago, on the node's clock; of
///   those used at the same time it is one of the first shard.
///
/// Entities for which something is under way are counted, and never go: a burst over more entities
/// than fit is served, and the surplus goes as it comes to rest.
///
/// A node with several lanes has one cache for each, with an even share of the limits: what is
/// forgotten is then a function of a lane's own inputs, and not of how threads race.
#[derive(Clone, Debug)]
pub struct Cache<K> {
    entities_max: usize,
    resting_bytes_max: usize,
    /// A list, because the shards stay and each command sets the stock of one twice.
    stocks: Vec<(K, Stock)>,
    entities: usize,
    resting_bytes: usize,
}

/// Where the stock of one shard stands in a [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockAt(usize);

impl<K: Copy + Ord> Cache<K> {
    /// The cache of one of `lanes` lanes, with nothing in memory. The shares of all lanes add up to
    /// the limits.
    ///
    /// # Panics
    ///
    /// When there is no such lane.
    pub fn new(limits: &Limits, lane: usize, lanes: usize) -> Self {
        assert!(lane < lanes, "a lane of the node");
        let share = |max: usize| max / lanes + usize::from(lane < max % lanes);
        Self {
            entities_max: share(limits.entities_max),
            resting_bytes_max: share(limits.resting_bytes_max),
            stocks: Vec::new(),
            entities: 0,
            resting_bytes: 0,
        }
    }

    /// Where the stock of a shard is from now on; it is that of one that keeps nothing. Each shard
    /// enters once.
    pub fn enter(&mut self, shard: K) -> StockAt {
        self.stocks.push((shard, Stock::default()));
        StockAt(self.stocks.len() - 1)
    }

    /// A shard keeps this now.
    ///
    /// # Panics
    ///
    /// When the shard entered another cache.
    pub fn set(&mut self, shard: StockAt, stock: Stock) {
        let before = mem::replace(&mut self.stocks[shard.0].1, stock);
        self.entities = self.entities - before.entities + stock.entities;
        self.resting_bytes = self.resting_bytes - before.resting_bytes + stock.resting_bytes;
    }

    /// The shard that is to forget the entity that rests longest in it; `None` when nothing has to
    /// go, or nothing can.
    pub fn excess(&self) -> Option<K> {
        let fits =
            self.entities <= self.entities_max && self.resting_bytes <= self.resting_bytes_max;
        if fits {
            return None;
        }
        // A look at each shard for each entity that goes is cheaper than an order of the shards that
        // is kept up at each step: nothing goes while everything fits.
        let oldest = |(shard, stock): &(K, Stock)| stock.oldest.map(|at| (at, *shard));
        let oldest = self.stocks.iter().filter_map(oldest).min();
        oldest.map(|(_, shard)| shard)
    }

    /// Entities in memory.
    pub fn entities(&self) -> usize {
        self.entities
    }

    /// Bytes that are kept for entities at rest.
    pub fn resting_bytes(&self) -> usize {
        self.resting_bytes
    }
}
