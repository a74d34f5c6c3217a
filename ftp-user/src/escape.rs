//! Text that others have chosen, on a terminal or in a line: what would not be seen there, or would change how the rest
//! is seen, is written out.

/// Whether a character is not seen as itself: controls (U+0080 to U+009F too, which steer terminals as the ASCII ones
/// do), what turns the direction of text, joiners and other characters without width, and marks that are drawn over
/// their neighbours.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    // What the standard library writes out, but for quotes and the backslash.
    character.is_control() || !character.is_ascii() && character.escape_debug().len() > 1
}

/// For people: `\u{202e}` in the place of each hidden character.
#[must_use]
pub fn text(text: &str) -> String {
    if is_plain(text, false) {
        return text.to_owned();
    }
    escaped(text, |character| character.escape_unicode().to_string())
}

/// For programs: the same document, in which hidden characters are escaped as JSON does, `\u202e`. They stand nowhere
/// but in strings; what lays out the document is left as it is.
#[must_use]
pub fn json(document: String) -> String {
    if is_plain(&document, true) {
        return document;
    }
    let unit = |unit: &u16| format!("\\u{unit:04x}");
    escaped(&document, |character| match character {
        '\n' => "\n".to_owned(),
        _ => character.encode_utf16(&mut [0; 2]).iter().map(unit).collect(),
    })
}

/// Nearly all text is printable ASCII, and of a list with a million rows it is a long one: then nothing is looked at by
/// characters.
fn is_plain(text: &str, or_line_end: bool) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') | (or_line_end & (*byte == b'\n'));
    // Without a branch for each byte.
    text.as_bytes().chunks(64).all(|some| some.iter().fold(true, |all, byte| all & plain(byte)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown += &escape(character);
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Controls, what turns text, what has no width, and ends of lines that are no line feed.
    fn hidden() -> impl Iterator<Item = char> {
        let ranges = ['\0'..='\x1f', '\x7f'..='\u{9f}', '\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}'];
        let others = "\u{ad}\u{61c}\u{180e}\u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}\u{fff9}\u{e0001}";
        ranges.into_iter().flatten().chain(others.chars())
    }

    #[test]
    fn what_is_not_seen_as_itself_is_written_out() {
        for character in hidden() {
            let expected = format!("a\\u{{{:x}}}b", u32::from(character));
            assert_eq!(text(&format!("a{character}b")), expected);
        }
        assert_eq!(text("mara 'o\"\\ ~"), "mara 'o\"\\ ~");
        assert_eq!(text("mara 'o\"\\ Jürgen 東京 🦀"), "mara 'o\"\\ Jürgen 東京 🦀");
    }

    #[test]
    fn json_says_the_same_without_them() {
        let name: String = hidden().chain("a\\\"ü🦀\u{1d173}".chars()).collect();
        for document in [serde_json::to_string(&[&name]), serde_json::to_string_pretty(&[&name])].map(Result::unwrap) {
            let shown = json(document);
            assert!(shown.chars().all(|character| character == '\n' || !is_hidden(character)), "{shown}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), std::slice::from_ref(&name));
        }
    }
}
