use tenure_macros::Event;

#[derive(Event)]
enum Happened {
    Opened { owner: String },
}

fn main() {}
