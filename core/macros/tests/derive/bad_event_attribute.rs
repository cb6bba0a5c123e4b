use tenure_macros::Event;

#[derive(Event)]
enum Happened {
    #[event(name = "opened", versoin = 1)]
    Opened,
}

#[derive(Event)]
enum Zero {
    #[event(name = "opened", version = 0)]
    Opened,
}

#[derive(Event)]
enum Nameless {
    #[event(name = "", version = 1)]
    Opened,
}

#[derive(Event)]
#[event(name = "a", name = "b", version = 1)]
struct Twice;

fn main() {}
