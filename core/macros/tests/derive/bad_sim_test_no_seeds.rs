#[tenure_macros::sim_test(seeds = 0)]
async fn runs_nothing(_: ()) {}

fn main() {}
