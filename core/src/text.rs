//! Texts for people that have a limit.

use alloc::string::String;

/// Cuts a text to at most so many bytes, at the end of a character.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::cut;
    use alloc::string::ToString;

    #[test]
    fn a_text_is_cut_between_characters() {
        let cut_to = |bytes_max| {
            let mut text = "aé€".to_string();
            cut(&mut text, bytes_max);
            text
        };
        let cuts = [0, 1, 2, 3, 4, 5, 6, 9].map(cut_to);
        assert_eq!(cuts, ["", "a", "a", "aé", "aé", "aé", "aé€", "aé€"]);
    }
}
