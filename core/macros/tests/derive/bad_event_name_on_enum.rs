use tenure_macros::Event;

#[derive(Event)]
#[event(name = "happened", version = 1)]
enum Happened {
    #[event(name = "opened", version = 1)]
    Opened,
}

fn main() {}
