//! An election among the store's servers: core NATS goes on, and for some seconds nobody takes what is for a
//! leader (S16).

use super::setting::Setting;
use crate::draw::What;
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

/// What becomes of something that is for a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// There is one.
    There,
    /// Nobody answers.
    Silent,
    /// Whoever asks is told that nobody is there.
    Absent,
}

impl Setting {
    /// The servers begin to elect.
    pub(super) fn elect(&mut self, length: Span) {
        self.electing_until = self.now() + length.as_nanos();
    }

    /// What becomes of something that is for a leader.
    pub fn leader(&mut self) -> Leader {
        if self.healed || self.now() >= self.electing_until {
            return Leader::There;
        }
        reached!(self, "fault: nobody leads");
        match self.draws.chance(What::Election, 2, 300) {
            true => Leader::Absent,
            false => Leader::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Carried;
    use super::Leader;
    use crate::case::{Case, WorldKind};
    use crate::driver::Keep;
    use crate::profile::Profile;
    use crate::stage::Setting;
    use tenure_core::step::Span;

    #[test]
    fn core_nats_and_replicas_need_no_leader() {
        let without = [
            Carried::Frame,
            Carried::Cast,
            Carried::Read { by_replica: true },
        ];
        assert!(without.iter().all(|it| !it.is_for_leader()));
        let checks_itself = true;
        let with = [
            Carried::Write { checks_itself },
            Carried::Pull,
            Carried::Read { by_replica: false },
        ];
        assert!(with.iter().all(|it| it.is_for_leader()));
    }

    #[test]
    fn nobody_leads_until_an_election_is_over_or_everything_heals() {
        let case = Case {
            world: WorldKind::Nats,
            ..Case::new(1, Profile::Storm)
        };
        let mut setting = Setting::new(&case, Keep::Nothing).expect("a profile of this world");
        assert_eq!(setting.leader(), Leader::There);
        setting.elect(Span::from_secs(4));
        let asked: Vec<_> = (0..100).map(|_| setting.leader()).collect();
        assert!(asked.contains(&Leader::Silent) && asked.contains(&Leader::Absent));
        assert!(!asked.contains(&Leader::There));
        setting.at(Span::from_secs(4).as_nanos());
        assert_eq!(setting.leader(), Leader::There);
        setting.elect(Span::from_secs(4));
        assert_ne!(setting.leader(), Leader::There);
        setting.heal(true);
        assert_eq!(setting.leader(), Leader::There);
    }
}
