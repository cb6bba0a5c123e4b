use tenure_macros::Event;

#[derive(Event)]
enum Happened {
    #[event(name = "opened", version = 1)]
    Opened,
    #[event(name = "opened", version = 1)]
    Reopened,
}

fn main() {}
