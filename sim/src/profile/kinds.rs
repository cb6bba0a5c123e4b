//! Families of runs, by name.

use std::fmt;
use std::str::FromStr;

/// A family of runs. Each faulty one draws which of its faults a seed has, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Both modes, both shapes, no fault.
    Calm,
    /// Several nodes write the same entities directly; the wire and the store misbehave.
    Direct,
    /// Nodes take shards from each other on an unreplicated store; the wire misbehaves.
    Owned,
    /// Both modes on a replicated store: leaders change, replicas lag, old leaders answer.
    Replicated,
    /// Nodes crash, pause and lose their link, and shards change hands all the time; the wire is
    /// sound.
    Churn,
    /// Everything at once, drawn anew for each seed.
    Swarm,
    /// Both modes, and the store loses acknowledged messages while every link is down. Voids P1 and
    /// what rests on it for the lost part; what comes after must hold all the same (S13).
    Tail,
    /// A cluster in which nodes join, are drained and leave, and nothing goes wrong.
    Cluster,
    /// A cluster whose network parts, whose nodes lose the store, and whose frames and announcements
    /// are lost, late, doubled and out of order.
    Partition,
    /// A cluster whose clocks run apart, and whose nodes stand still for longer than their leases.
    Drift,
    /// A cluster whose nodes are killed and started again, while the wire and the store misbehave.
    TakeOver,
    /// A cluster of which one node at a time is killed, or stands still for longer than its lease, and
    /// nothing else goes wrong: what it owned is taken over in time (P8).
    Kill,
    /// A cluster, and everything at once.
    Storm,
    /// The same with consumers, whose part of the store is lost now and then. Of worlds that run the
    /// driver alone.
    Consume,
    /// The same with groups of consumers, projections and the bus. Of the driver world.
    Group,
    /// The same with effects outside and sagas. Of the driver world.
    Effect,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 16] = [
        Self::Calm,
        Self::Direct,
        Self::Owned,
        Self::Replicated,
        Self::Churn,
        Self::Swarm,
        Self::Tail,
        Self::Cluster,
        Self::Partition,
        Self::Drift,
        Self::TakeOver,
        Self::Kill,
        Self::Storm,
        Self::Consume,
        Self::Group,
        Self::Effect,
    ];

    /// Those in which the machines run alone: all that need no handlers.
    pub const OF_MACHINES: [Self; 13] = [
        Self::Calm,
        Self::Direct,
        Self::Owned,
        Self::Replicated,
        Self::Churn,
        Self::Swarm,
        Self::Tail,
        Self::Cluster,
        Self::Partition,
        Self::Drift,
        Self::TakeOver,
        Self::Kill,
        Self::Storm,
    ];

    /// Whether its nodes are a cluster: they own shards as membership and map say.
    pub const fn is_cluster(self) -> bool {
        match self {
            Self::Cluster
            | Self::Partition
            | Self::Drift
            | Self::TakeOver
            | Self::Kill
            | Self::Storm
            | Self::Consume
            | Self::Group
            | Self::Effect => true,
            Self::Calm
            | Self::Direct
            | Self::Owned
            | Self::Replicated
            | Self::Churn
            | Self::Swarm
            | Self::Tail => false,
        }
    }

    /// Whether everything comes together in it: each seed draws first which operations its callers do at
    /// all, as it does with faults.
    pub const fn is_everything(self) -> bool {
        match self {
            Self::Swarm | Self::Storm | Self::Consume | Self::Group | Self::Effect => true,
            Self::Calm
            | Self::Direct
            | Self::Owned
            | Self::Replicated
            | Self::Churn
            | Self::Tail
            | Self::Cluster
            | Self::Partition
            | Self::Drift
            | Self::TakeOver
            | Self::Kill => false,
        }
    }

    /// Whether some of its nodes may stay broken when faults end: those that are well have to do without
    /// them.
    pub const fn breaks_for_good(self) -> bool {
        match self {
            Self::Direct
            | Self::Partition
            | Self::Drift
            | Self::TakeOver
            | Self::Storm
            | Self::Consume
            | Self::Group
            | Self::Effect => true,
            // Logs alone have nobody who moves the shards of a node that is gone.
            Self::Owned | Self::Replicated | Self::Churn | Self::Swarm => false,
            // Nothing goes wrong in them, or nothing but what they are about.
            Self::Calm | Self::Tail | Self::Cluster | Self::Kill => false,
        }
    }

    /// Other names, each for what the store, or the clocks, do wrong.
    pub const ALIASES: [(&str, Self); 2] = [("store", Self::Replicated), ("clock", Self::Drift)];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Direct => "direct",
            Self::Owned => "owned",
            Self::Replicated => "replicated",
            Self::Churn => "churn",
            Self::Swarm => "swarm",
            Self::Tail => "tail",
            Self::Cluster => "cluster",
            Self::Partition => "partition",
            Self::Drift => "drift",
            Self::TakeOver => "takeover",
            Self::Kill => "kill",
            Self::Storm => "storm",
            Self::Consume => "consume",
            Self::Group => "group",
            Self::Effect => "effect",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.map(|profile| (profile.name(), profile));
        let mut all = named.into_iter().chain(Self::ALIASES);
        let found = all.find(|(name, _)| *name == text);
        found.map(|(_, profile)| profile).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let aliases = Self::ALIASES.map(|(alias, of)| format!("{alias} ({of})"));
            let aliases = aliases.join(" and ");
            format!("there is no profile {text:?}; the profiles are {names}, and {aliases}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn each_name_is_read_and_so_are_the_other_names() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert_eq!("store".parse(), Ok(Profile::Replicated));
        assert_eq!("clock".parse(), Ok(Profile::Drift));
        let refused = "gremlins".parse::<Profile>().unwrap_err();
        assert!(
            refused.contains("calm") && refused.contains("clock (drift)"),
            "{refused}"
        );
    }
}
