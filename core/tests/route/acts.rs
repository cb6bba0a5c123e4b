//! What happens in the world of the routers, and what has to hold of it.

use super::world::{End, NODES, Name, PLACES, World, place};
use tenure_core::Span;
use tenure_core::route::{Refusal, Repeat};

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Packets are lost, doubled and overtaken; links and nodes go.
    pub(crate) network: bool,
    /// Places change hands, and nodes hear of it late.
    pub(crate) hands: bool,
}

fn repeat(n: u64) -> Repeat {
    match n {
        0 => Repeat::Reads,
        1 => Repeat::ById,
        _ => Repeat::Never,
    }
}

/// One random thing happens.
pub(crate) fn happen(world: &mut World, faults: Faults) {
    let node = world.below(NODES as u64) as usize;
    let other = (node + 1 + world.below(NODES as u64 - 1) as usize) % NODES;
    let at = place(world.below(u64::from(PLACES)) as u16);
    match world.below(100) {
        0..=29 => {
            let (key, kind) = (world.below(3), world.below(4));
            let ttl = Span::from_millis(1 + world.below(8_000));
            world.ask(node, at, key, (ttl, repeat(kind)));
        }
        30..=59 => {
            let wire = world.wires.get(&(node, other)).map_or(0, |wire| wire.len());
            let fault = if faults.network { world.below(10) } else { 9 };
            let which = match fault {
                0..=2 => world.below(wire.max(1) as u64) as usize,
                _ => 0,
            };
            match fault {
                2 => drop(
                    world
                        .wires
                        .get_mut(&(node, other))
                        .and_then(|w| w.remove(which)),
                ),
                3 => world.deliver((node, other), which, true),
                _ => world.deliver((node, other), which, false),
            }
        }
        60..=79 => world.work(node),
        80..=83 if faults.hands => {
            let to = world.below(NODES as u64 + 1) as usize;
            let to = Some(to).filter(|to| *to < NODES && world.nodes[*to].alive);
            // Who says no and then comes to own the place may run a later request that was on its way.
            if faults.network || to.is_none_or(|to| !world.is_awaited(at, to)) {
                world.hand(at, to);
                to.into_iter().for_each(|to| world.show_table(to));
            }
        }
        84..=89 if faults.hands => world.show_table(node),
        90 if faults.network => {
            let up = world.below(2) == 0;
            world.link(node, up);
        }
        91 if faults.network && world.below(40) == 0 => world.crash(node),
        92 => world.show_view(node),
        93 => {
            let names: Vec<Name> = world.asked.keys().copied().collect();
            if !names.is_empty() {
                let name = names[world.below(names.len() as u64) as usize];
                if faults.network {
                    world.cancel(name);
                }
            }
        }
        _ => {
            let by = world.below(if faults.network { 400 } else { 4 });
            world.advance(Span::from_millis(by));
        }
    }
}

/// What holds of all requests when everything is over.
fn check(world: &World) {
    for (name, asked) in &world.asked {
        let ran = world.ran.iter().filter(|other| *other == name).count();
        let alive = world.nodes[name.0].alive;
        let end = world.ends.get(name);
        assert!(end.is_some() || !alive, "R1: {name:?} never ended");
        match asked.repeat {
            Repeat::Never => assert!(ran <= 1, "R2: {name:?} ran {ran} times"),
            Repeat::ById | Repeat::Reads => {}
        }
        if asked.repeat != Repeat::Reads
            && end.is_some_and(|end| World::says_nothing_happened(*end))
        {
            assert_eq!(ran, 0, "R3: {name:?} ran, and was told {end:?}");
        }
    }
    for node in (0..NODES).filter(|node| world.nodes[*node].alive) {
        let counts = world.counts(node);
        assert_eq!((counts.in_flight, counts.waiting), (0, 0), "node {node}");
    }
}

/// R1, R2, R3, R6, R7: all is well again, and requests are answered.
pub(crate) fn heal(world: &mut World) {
    // Who is alive has its link, owns what there is, and knows all of it.
    for node in 0..NODES {
        world.link(node, true);
    }
    let alive: Vec<usize> = (0..NODES).filter(|node| world.nodes[*node].alive).collect();
    if let Some(owner) = alive.first() {
        (0..PLACES).for_each(|shard| world.hand(place(shard), Some(*owner)));
    }
    for node in &alive {
        world.show_view(*node);
        world.show_table(*node);
    }
    world.settle();
    for _ in 0..10 {
        world.advance(Span::from_millis(300));
        world.settle();
    }
    let asks: Vec<Name> = alive
        .iter()
        .map(|node| world.ask(*node, place(0), 0, (Span::from_secs(5), Repeat::Never)))
        .collect();
    world.settle();
    for name in asks {
        assert_eq!(world.ends.get(&name), Some(&End::Told), "{name:?}");
    }
    for _ in 0..40 {
        world.advance(Span::from_millis(300));
        world.settle();
    }
    check(world);
}

/// R4: while packets stay in order and are not lost, the requests of one caller for one key ran in the
/// order in which they were asked.
pub(crate) fn in_order(world: &mut World) {
    world.settle();
    (0..PLACES).for_each(|shard| world.hand(place(shard), Some(0)));
    (0..NODES).for_each(|node| world.show_table(node));
    for _ in 0..40 {
        world.settle();
        world.advance(Span::from_millis(300));
    }
    check(world);
    let order = |name: &Name| {
        let asked = world.asked[name];
        (name.0, asked.target, asked.key)
    };
    let never = |name: &&Name| world.asked[name].repeat == Repeat::Never;
    let ran: Vec<&Name> = world.ran.iter().filter(never).collect();
    for (n, one) in ran.iter().enumerate() {
        for other in &ran[n + 1..] {
            assert!(
                order(one) != order(other) || one.1 < other.1,
                "R4: {one:?} ran before {other:?}"
            );
        }
    }
}

/// How many requests were refused because of too many.
pub(crate) fn overloaded(world: &World) -> usize {
    let overloaded = |end: &&End| **end == End::Refused(Refusal::Overloaded);
    world.ends.values().filter(overloaded).count()
}
