//! Texts that came from outside, for messages that people read.

use std::borrow::Cow;

/// The longest name in a message that says more, in bytes.
pub const LONGEST_NAME: usize = 160;

/// Returns the text, or of one longer than `most` bytes its beginning and its end.
pub fn abbreviate(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let head = text.floor_char_boundary(most * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - most / 5);
    format!("{} […] {}", &text[..head], &text[tail..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_beginning_and_end() {
        assert_eq!(abbreviate("short", 5), "short");
        let long = format!("first {} last", "ü".repeat(1 << 20));
        for most in 100..108 {
            let found = abbreviate(&long, most);
            assert!(
                found.len() <= most && found.starts_with("first ü") && found.ends_with("ü last")
            );
        }
    }
}
