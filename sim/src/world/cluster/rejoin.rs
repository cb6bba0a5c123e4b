//! A node that the others took for over goes on as another run of itself, in the same process.

use crate::oracle::Violation;
use crate::world::World;
use crate::world::event::{Input, Part, Place};
use crate::world::story::Kind;
use tenure_core::id::Incarnation;
use tenure_core::{Probe as _, log, node, reached, route, shard};

impl World {
    /// The membership of a node says that it is another run now: its ownership drops everything, then
    /// its logs and lanes become that run, one message after another, and tell.
    pub(super) fn rejoins(&mut self, place: Place, run: Incarnation) -> Result<(), Violation> {
        reached!(self, "world: a node joins again as another run");
        self.tell(place, Kind::Note, || {
            format!("n{} is another run", place.node)
        });
        let now = self.now;
        let shards = self.plan.shards.len();
        let seats = self.nodes[place.node].seats_mut();
        let former = std::mem::replace(&mut seats.incarnation, run);
        seats.outbox.clear();
        let (lanes, draining) = (seats.lanes(), seats.draining);
        seats.renewing = shards + usize::from(lanes);
        self.lives.life(former).ended = Some(now);
        self.lives.begin(run, (place.node, place.life), now);
        if draining {
            self.lives.life(run).drains = Some(now);
        }
        self.step_owners(place.beside(Part::Owners), shard::Input::Run(run))?;
        for shard in 0..shards {
            self.post_within(place.beside(Part::Log(shard)), log::Input::Run(run));
        }
        for lane in 0..lanes {
            self.post_within(place.beside(Part::Router(lane)), route::Input::Run(run));
        }
        Ok(())
    }

    /// A machine took something in: the last one that becomes another run ends the wait.
    pub(in crate::world) fn took_in(&mut self, place: Place, became: Option<Incarnation>) {
        let Some(run) = became else { return };
        let seats = self.nodes[place.node].seats_mut();
        if seats.incarnation != run {
            return;
        }
        seats.renewing -= 1;
        if seats.renewing == 0 {
            self.post_within(place.beside(Part::Member), node::Input::Renewed);
        }
    }
}

/// As which run a machine is told to go on.
pub(in crate::world) fn run_of(input: &Input) -> Option<Incarnation> {
    match input {
        Input::Log(log::Input::Run(run)) | Input::Router(route::Input::Run(run)) => Some(*run),
        Input::Log(_) | Input::Router(_) | Input::Member(_) | Input::Owners(_) => None,
    }
}
