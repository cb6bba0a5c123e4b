use tenure_macros::Event;

#[derive(Event)]
enum Happened {
    #[event(name = "opened")]
    Opened { owner: String },
}

fn main() {}
