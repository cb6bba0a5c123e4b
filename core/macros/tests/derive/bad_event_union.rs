use tenure_macros::Event;

#[derive(Event)]
#[event(name = "both", version = 1)]
union Both {
    a: u32,
    b: f32,
}

fn main() {}
