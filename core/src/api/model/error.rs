//! What is wrong with a model.

use super::{CommandRef, EventRef, MODEL_VERSION, Model};
use std::collections::BTreeSet;

/// What is wrong with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Its text is no model.
    #[error("this is no model: {0}")]
    Json(serde_json::Error),
    /// It is one of another version.
    #[error("a model of version {version}; this build reads version {MODEL_VERSION}")]
    Version {
        /// Its version.
        version: u16,
    },
    /// Something names an event that no kind has.
    #[error("{by} names the event {event} of kind {kind}, which has none; correct one of the two")]
    Event {
        /// Who names it.
        by: String,
        /// The kind.
        kind: String,
        /// The event.
        event: String,
    },
    /// Something names a command that no kind takes.
    #[error(
        "{by} names the command {command} of kind {kind}, which takes none; correct one of the two"
    )]
    Command {
        /// Who names it.
        by: String,
        /// The kind.
        kind: String,
        /// The command.
        command: String,
    },
    /// Something names a kind, a read model or a system that is not there.
    #[error("{by} names {name}, which is not there; add it to the model")]
    Unknown {
        /// Who names it.
        by: String,
        /// The name.
        name: String,
    },
    /// Two parts have one name.
    #[error("two parts are named {name}; give one of them another name")]
    Twice {
        /// The name.
        name: String,
    },
}

pub(super) fn check(model: &Model) -> Result<(), ModelError> {
    let mut names = BTreeSet::new();
    let once = |name: &String| match names.insert(name.clone()) {
        true => Ok(()),
        false => Err(ModelError::Twice { name: name.clone() }),
    };
    let kinds = model.aggregates.iter().map(|one| &one.kind);
    let policies = model.policies.iter().map(|one| &one.name);
    let read = model.read_models.iter().map(|one| &one.name);
    let actors = model.actors.iter().map(|one| &one.name);
    let externals = model.externals.iter().map(|one| &one.name);
    let effects = model.effects.iter().map(|one| &one.name);
    let mut all = kinds
        .chain(policies)
        .chain(read)
        .chain(actors)
        .chain(externals)
        .chain(effects);
    all.try_for_each(once)?;
    for kind in &model.aggregates {
        if let Some(saga) = &kind.saga {
            model.has_commands(&format!("the saga {}", kind.kind), &saga.issues)?;
        }
    }
    let (kinds, externals): (Vec<_>, Vec<_>) = (
        model.aggregates.iter().map(|one| &one.kind).collect(),
        model.externals.iter().map(|one| &one.name).collect(),
    );
    for effect in &model.effects {
        let by = format!("the effect {}", effect.name);
        is_there(&by, &effect.wanted_by, &kinds)?;
        is_there(&by, &effect.calls, &externals)?;
    }
    for policy in &model.policies {
        let by = format!("the policy {}", policy.name);
        model.has_events(&by, &policy.on)?;
        model.has_commands(&by, &policy.issues)?;
        is_there(&by, &policy.calls, &externals)?;
    }
    for read_model in &model.read_models {
        model.has_events(
            &format!("the read model {}", read_model.name),
            &read_model.of,
        )?;
    }
    for actor in &model.actors {
        let by = format!("the actor {}", actor.name);
        model.has_commands(&by, &actor.issues)?;
        let read: Vec<_> = model.read_models.iter().map(|one| &one.name).collect();
        is_there(&by, &actor.reads, &read)?;
    }
    for external in &model.externals {
        let by = format!("the system {}", external.name);
        model.has_commands(&by, &external.issues)?;
    }
    Ok(())
}

fn is_there(by: &str, named: &[String], all: &[&String]) -> Result<(), ModelError> {
    match named.iter().find(|name| !all.contains(name)) {
        None => Ok(()),
        Some(name) => Err(ModelError::Unknown {
            by: by.to_owned(),
            name: name.clone(),
        }),
    }
}

impl Model {
    fn has_events(&self, by: &str, events: &[EventRef]) -> Result<(), ModelError> {
        let has = |one: &&EventRef| {
            let mut of = self.aggregates.iter().filter(|kind| kind.kind == one.kind);
            of.any(|kind| kind.events.iter().any(|event| event.name == one.event))
        };
        match events.iter().find(|one| !has(one)) {
            None => Ok(()),
            Some(EventRef { kind, event }) => Err(ModelError::Event {
                by: by.to_owned(),
                kind: kind.clone(),
                event: event.clone(),
            }),
        }
    }

    fn has_commands(&self, by: &str, commands: &[CommandRef]) -> Result<(), ModelError> {
        let has = |one: &&CommandRef| {
            let mut of = self.aggregates.iter().filter(|kind| kind.kind == one.kind);
            of.any(|kind| {
                kind.commands
                    .iter()
                    .any(|command| command.name == one.command)
            })
        };
        match commands.iter().find(|one| !has(one)) {
            None => Ok(()),
            Some(CommandRef { kind, command }) => Err(ModelError::Command {
                by: by.to_owned(),
                kind: kind.clone(),
                command: command.clone(),
            }),
        }
    }
}
