//! A failing input with as little in it as still fails.

/// Leaves out parts, halves first and single bytes last, for as long as what is left fails, and plays
/// at most so many inputs.
///
/// ```
/// use tenure_fuzz::smaller::smaller;
///
/// let fails = |input: &[u8]| input.contains(&7);
/// assert_eq!(smaller(&[1, 2, 7, 3, 4], 100, fails), [7]);
/// ```
pub fn smaller(input: &[u8], plays_max: usize, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut plays = 0;
    let mut part = best.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < best.len() && plays < plays_max {
            let mut less = best.clone();
            less.drain(at..(at + part).min(best.len()));
            plays += 1;
            if fails(&less) {
                best = less;
            } else {
                at += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    best
}
