use tenure_macros::Event;

#[derive(Event)]
#[event(name = "wrapped", version = 1)]
struct Wrapped<T>(T);

fn main() {}
