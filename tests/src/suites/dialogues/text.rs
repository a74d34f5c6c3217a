//! What stands behind the colon of a said line, as bytes in pieces.

/// The pieces of a said line: with its line end, unless it says otherwise.
pub(super) fn pieces(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut pieces = vec![Vec::new()];
    let mut ended = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let piece = pieces.last_mut().expect("there is one at least");
        if character != '\\' {
            piece.extend(character.to_string().bytes());
            continue;
        }
        let kind = rest.chars().next().ok_or("a backslash at the end: write \\\\")?;
        rest = &rest[kind.len_utf8()..];
        match kind {
            'r' => piece.push(b'\r'),
            't' => piece.push(b'\t'),
            '\\' => piece.push(b'\\'),
            'n' => {
                piece.push(b'\n');
                ended = rest.is_empty();
            }
            'c' if rest.is_empty() => ended = true,
            'c' => return Err("\\c (no line end) stands only at the end".to_owned()),
            '/' => pieces.push(Vec::new()),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x wants two hexadecimal digits")?;
                let byte = u8::from_str_radix(digits, 16);
                piece.push(byte.map_err(|_| format!("\\x{digits}: not two hexadecimal digits"))?);
                rest = &rest[2..];
            }
            '{' => {
                let (inside, behind) = rest.split_once('}').ok_or("\\{ without }")?;
                let repeated = inside.split_once(' ').and_then(|(count, what)| {
                    let count: usize = count.parse().ok().filter(|count| *count <= 10_000)?;
                    Some(what.repeat(count))
                });
                piece.extend(repeated.ok_or_else(|| format!("\\{{{inside}}}: not a number and a text"))?.bytes());
                rest = behind;
            }
            other => return Err(format!("\\{other}: no such escape")),
        }
    }
    if !ended {
        pieces.last_mut().expect("there is one at least").extend(b"\r\n");
    }
    if pieces.iter().any(Vec::is_empty) {
        return Err("an empty piece can't be sent".to_owned());
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_end_unless_it_says_otherwise() {
        assert_eq!(pieces("PASV"), Ok(vec![b"PASV\r\n".to_vec()]));
        assert_eq!(pieces("PASV\\n"), Ok(vec![b"PASV\n".to_vec()]));
        assert_eq!(pieces("PASV\\c"), Ok(vec![b"PASV".to_vec()]));
        assert_eq!(pieces("NOOP\\nPASV"), Ok(vec![b"NOOP\nPASV\r\n".to_vec()]));
        assert_eq!(pieces(""), Ok(vec![b"\r\n".to_vec()]));
    }

    #[test]
    fn cuts_and_bytes() {
        assert_eq!(pieces("PA\\/SV"), Ok(vec![b"PA".to_vec(), b"SV\r\n".to_vec()]));
        assert_eq!(pieces("\\xff\\xf4\\\\\\{3 ab}\\c"), Ok(vec![b"\xff\xf4\\ababab".to_vec()]));
    }

    #[test]
    fn what_is_no_escape_is_an_error() {
        for text in ["\\", "\\q", "\\x1", "\\xgg", "\\{4200}", "\\{x A}", "\\{1 A", "a\\cb", "\\/\\/", "\\c"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
