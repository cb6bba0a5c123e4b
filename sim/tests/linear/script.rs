//! Histories of registers as texts: one operation a word, `KEY:CALLED-TOLD:WHAT`, where `?` for the end
//! is that nobody knows it. `w3` writes, `r3` reads, `1>2` swaps and `1!2` does not.

use tenure_sim::linear::{Ended, Operation, RegisterInput, RegisterOutput};

pub(crate) type Asked = Operation<RegisterInput, RegisterOutput>;

/// The operations of a text.
pub(crate) fn history(text: &str) -> Vec<Asked> {
    let words = (1..).zip(text.split_whitespace());
    words
        .map(|(client, word)| operation(client, word))
        .collect()
}

fn operation(client: u64, word: &str) -> Asked {
    let [key, span, what] = word.split(':').collect::<Vec<_>>()[..] else {
        panic!("{word} is no operation");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let (called, told) = span.split_once('-').expect("two times");
    let (input, output) = if let Some(value) = what.strip_prefix('w') {
        (RegisterInput::Write(number(value)), RegisterOutput::Done)
    } else if let Some(value) = what.strip_prefix('r') {
        (RegisterInput::Read, RegisterOutput::Value(number(value)))
    } else if let Some((from, to)) = what.split_once('>') {
        let input = RegisterInput::Swap(number(from), number(to));
        (input, RegisterOutput::Swapped(true))
    } else {
        let (from, to) = what.split_once('!').expect("a swap");
        let input = RegisterInput::Swap(number(from), number(to));
        (input, RegisterOutput::Swapped(false))
    };
    Operation {
        key: key.to_owned(),
        client,
        input,
        called_at: number(called),
        ended: match told {
            "?" => Ended::Unknown,
            at => Ended::Told {
                at: number(at),
                output,
            },
        },
    }
}
