//! Allocations beside times: criterion measures the one, a counting allocator the other. The
//! allocator counts in the times as well, a few nanoseconds for each allocation.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;

/// How often a routine is run to count its allocations.
const COUNTED: u32 = 64;

/// What one iteration is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    /// Its name: what is done, and to what.
    pub(crate) name: &'a str,
    /// How many of something it does, for times of each.
    pub(crate) elements: u64,
}

/// Measures a routine on fresh inputs. Making an input, and dropping what comes of it, is not
/// measured; nor are allocations in `allocation_counter::opt_out`.
pub(crate) fn measure<I, O>(
    c: &mut Criterion,
    measured: Measured<'_>,
    mut setup: impl FnMut() -> I,
    mut routine: impl FnMut(I) -> O,
) {
    let (mut count, mut bytes) = (0, 0);
    for _ in 0..COUNTED {
        let input = setup();
        let mut output = None;
        let info = allocation_counter::measure(|| output = Some(black_box(routine(input))));
        count += info.count_total;
        bytes += info.bytes_total;
    }
    let mut group = c.benchmark_group(measured.name);
    group.throughput(Throughput::Elements(measured.elements));
    group.bench_function("time", |bencher| {
        bencher.iter_batched(&mut setup, &mut routine, BatchSize::SmallInput);
    });
    group.finish();
    let each = |total: u64| total as f64 / f64::from(COUNTED) / measured.elements as f64;
    println!(
        "{:<28}allocs: {:.2} each, {:.0} bytes each, over {} in an iteration\n",
        measured.name,
        each(count),
        each(bytes),
        measured.elements
    );
}
