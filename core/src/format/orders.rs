//! What a group of consumers was told: to pause, and from where on to begin anew.

use super::checkpoint::{read_positions, write_positions};
use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Position, Unknown};
use crate::id::{Incarnation, LayoutId, WallTime};
use crate::name::ConsumerName;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// What a group was told, as stored on `<ns>.grp.<group>.orders`, beside the records of its partitions; one
/// is kept, and each is written by CAS on the one before it. A group without one has its first life, from
/// where its definition says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupOrders {
    /// The layout that its positions are of.
    pub layout: LayoutId,
    /// The group.
    pub group: ConsumerName,
    /// Names this record among all that were written.
    pub token: Incarnation,
    /// Who wants the group paused, for people; `None` when it goes on.
    pub paused: Option<String>,
    /// The how manieth life of the group it is, from 1: a rewind begins the next one.
    pub life: u64,
    /// Where each partition begins this life.
    pub from: LifeStart,
    /// The name of the node that wrote it, for people.
    pub node: String,
    /// When it was written, on that node's wall clock.
    pub time: WallTime,
    /// The tokens of the records before it, the newest first, at most [`EARLIER_MAX`](Self::EARLIER_MAX): by
    /// them a node whose order was replaced before it heard of it finds that it counted.
    pub earlier: Vec<Incarnation>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// Where a group begins a life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum LifeStart {
    /// Where its definition says.
    Defined,
    /// After a position of each event stream, by its number.
    After(Vec<Position>),
    /// With what the store took then or later, on its clock.
    At(WallTime),
}

const FORMAT: &str = "group's orders";
const EARLIER: &str = "earlier records";

impl GroupOrders {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// How many records before it one names at most.
    pub const EARLIER_MAX: usize = 32;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.group.as_str().len() + self.node.len();
        let paused = self.paused.as_ref().map_or(0, String::len);
        let positions = match &self.from {
            LifeStart::After(positions) => positions.len() * (1 + 2 * HEAD_MAX),
            LifeStart::Defined | LifeStart::At(_) => 0,
        };
        let tokens = (2 + self.earlier.len()) * BITS128_LEN;
        map_len_max(10, &self.unknown) + tokens + 8 * HEAD_MAX + texts + paused + positions
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.group.as_str());
        fields.key(3).bits128(self.token.0);
        fields.key(4).uint(self.life);
        match &self.from {
            LifeStart::Defined => {}
            LifeStart::After(positions) => write_positions(positions, &mut fields.key(5)),
            LifeStart::At(time) => {
                fields.key(6).uint(time.0);
            }
        }
        if let Some(by) = &self.paused {
            fields.key(7).text(by);
        }
        fields.key(8).text(&self.node);
        fields.key(9).uint(self.time.0);
        if !self.earlier.is_empty() {
            let mut tokens = fields.key(10);
            tokens.array(self.earlier.len());
            for token in &self.earlier {
                tokens.bits128(token.0);
            }
        }
        fields.finish()
    }

    /// Reads a group's orders.
    ///
    /// # Errors
    ///
    /// When the bytes are no group's orders of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut group, mut token, mut life) = (None, None, None, None);
        let (mut after, mut at, mut paused) = (None, None, None);
        let (mut node, mut time, mut earlier) = (None, None, Vec::new());
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => group = Some(r.consumer()?),
                3 => token = Some(Incarnation(r.bits128("token")?)),
                4 => life = Some(r.uint("life")?),
                5 => after = Some(read_positions(r)?),
                6 => at = Some(WallTime(r.uint("start")?)),
                7 => paused = Some(r.text("pause")?),
                8 => node = Some(r.text("node")?),
                9 => time = Some(WallTime(r.uint("time")?)),
                10 => earlier = read_tokens(r)?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        let life = r.need("life", life)?;
        r.holds(life > 0, "its lives are counted from 1")?;
        r.holds(after.is_none() || at.is_none(), "it begins at two places")?;
        let from = match (after, at) {
            (Some(positions), _) => LifeStart::After(positions),
            (None, Some(time)) => LifeStart::At(time),
            (None, None) => LifeStart::Defined,
        };
        Ok(Self {
            layout: r.need("layout", layout)?,
            group: r.need("group", group)?,
            token: r.need("token", token)?,
            paused,
            life,
            from,
            node: r.need("node", node)?,
            time: r.need("time", time)?,
            earlier,
            unknown,
        })
    }
}

fn read_tokens(r: &mut Reader<'_>) -> Result<Vec<Incarnation>, FormatError> {
    let items = r.array(EARLIER, BITS128_LEN)?;
    r.holds(
        items <= GroupOrders::EARLIER_MAX,
        "it names too many records before it",
    )?;
    (0..items)
        .map(|_| Ok(Incarnation(r.bits128(EARLIER)?)))
        .collect()
}
