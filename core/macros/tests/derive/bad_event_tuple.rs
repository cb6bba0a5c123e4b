use tenure_macros::Event;

#[derive(Event)]
enum Happened {
    #[event(name = "moved", version = 1)]
    Moved(i64, i64),
}

fn main() {}
