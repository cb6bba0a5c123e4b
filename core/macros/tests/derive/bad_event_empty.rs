use tenure_macros::Event;

#[derive(Event)]
enum Happened {}

fn main() {}
