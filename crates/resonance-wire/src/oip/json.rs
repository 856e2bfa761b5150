//! A reader that pulls JSON (RFC 8259) out of a slice, one token at a time.

use std::borrow::Cow;

use super::error::RequestError;

/// A place in a JSON text.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_max: usize,
}

type Read<T> = Result<T, RequestError>;

impl<'a> Reader<'a> {
    /// Looks over the whole text once: no token has to be checked for UTF-8 by itself.
    pub(super) fn new(bytes: &'a [u8], depth_max: usize) -> Read<Self> {
        let text = std::str::from_utf8(bytes).map_err(|error| RequestError::Json {
            offset: error.valid_up_to(),
            problem: "the text is not UTF-8",
        })?;
        Ok(Self { text, bytes, at: 0, depth_max })
    }

    /// The place, bytes from the start.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The first byte of the next token.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => return Some(*byte),
            }
        }
        None
    }

    pub(super) fn fail<T>(&self, problem: &'static str) -> Read<T> {
        Err(RequestError::Json { offset: self.at, problem })
    }

    /// Reads this token of one byte.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, problem: &'static str) -> Read<()> {
        if self.peek() != Some(byte) {
            return self.fail(problem);
        }
        self.at += 1;
        Ok(())
    }

    /// Moves to the next element of an array whose `[` was read; false where it ends.
    #[inline]
    pub(super) fn element(&mut self, first: &mut bool) -> Read<bool> {
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !*first => {
                self.at += 1;
                if self.peek() == Some(b']') {
                    return self.fail("expected a value after the comma");
                }
            }
            Some(_) if *first => {}
            _ => return self.fail("expected a comma or the end of the array"),
        }
        *first = false;
        Ok(true)
    }

    /// Moves to the next value of an object whose `{` was read, past its key; `None` where the
    /// object ends.
    pub(super) fn key(&mut self, first: &mut bool) -> Read<Option<Cow<'a, str>>> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !*first => self.at += 1,
            Some(_) if *first => {}
            _ => return self.fail("expected a comma or the end of the object"),
        }
        *first = false;
        if self.peek() != Some(b'"') {
            return self.fail("expected a key in quotation marks");
        }
        let key = self.string()?;
        self.expect(b':', "expected a colon after the key")?;
        Ok(Some(key))
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Read<Cow<'a, str>> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut from = start;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let tail = self.text(from, self.at);
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(tail),
                        Some(head) => Cow::Owned(head + tail),
                    });
                }
                Some(b'\\') => {
                    let head = self.text(from, self.at);
                    let text = owned.get_or_insert_with(String::new);
                    text.push_str(head);
                    self.at += 1;
                    text.push(self.escape()?);
                    from = self.at;
                }
                Some(0..0x20) => return self.fail("a control character must be escaped"),
                Some(_) => self.at += 1,
                None => return self.fail("the string does not end"),
            }
        }
    }

    /// Both ends are beside ASCII bytes, so that they are between characters.
    #[inline]
    fn text(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Read<char> {
        let Some(byte) = self.bytes.get(self.at) else {
            return self.fail("the string does not end");
        };
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fail("there is no such escape"),
        })
    }

    fn unicode_escape(&mut self) -> Read<char> {
        let high = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&high) {
            if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                return self.fail("a surrogate stands alone");
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xDC00..0xE000).contains(&low) {
                return self.fail("a surrogate stands alone");
            }
            0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        } else {
            high
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.fail("a surrogate stands alone"),
        }
    }

    fn hex4(&mut self) -> Read<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, digit| {
            char::from(*digit).to_digit(16).map(|digit| (value << 4) | digit)
        });
        match value {
            Some(value) if digits.len() == 4 => {
                self.at += 4;
                Ok(value)
            }
            _ => self.fail("expected four hexadecimal digits"),
        }
    }

    /// Reads a number and returns it as written.
    #[inline]
    pub(super) fn number(&mut self) -> Read<&'a str> {
        self.peek();
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("expected a number"),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(self.text(start, self.at))
    }

    #[inline]
    fn digits(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    fn some_digits(&mut self) -> Read<()> {
        let before = self.at;
        self.digits();
        if self.at == before { self.fail("expected a digit") } else { Ok(()) }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> Read<bool> {
        match self.peek() {
            Some(b't') => self.literal(b"true").map(|()| true),
            Some(b'f') => self.literal(b"false").map(|()| false),
            _ => self.fail("expected true or false"),
        }
    }

    /// Reads `null` if it is next.
    pub(super) fn null(&mut self) -> Read<bool> {
        match self.peek() {
            Some(b'n') => self.literal(b"null").map(|()| true),
            _ => Ok(false),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Read<()> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads over a value of any kind, however deep within the bound.
    pub(super) fn skip(&mut self) -> Read<()> {
        // One entry an open array or object: whether it is an object, and whether it is empty yet.
        let mut open: Vec<(bool, bool)> = Vec::new();
        loop {
            match self.peek() {
                Some(byte @ (b'{' | b'[')) => {
                    if open.len() == self.depth_max {
                        return Err(RequestError::TooDeep {
                            offset: self.at,
                            limit: self.depth_max,
                        });
                    }
                    self.at += 1;
                    open.push((byte == b'{', true));
                }
                Some(b'"') => drop(self.string()?),
                Some(b't' | b'f') => drop(self.boolean()?),
                Some(b'n') => drop(self.null()?),
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
                _ => return self.fail("expected a value"),
            }
            loop {
                let Some((is_object, first)) = open.last_mut() else { return Ok(()) };
                let goes_on =
                    if *is_object { self.key(first)?.is_some() } else { self.element(first)? };
                if goes_on {
                    break;
                }
                open.pop();
            }
        }
    }

    /// Checks that nothing follows but white space.
    pub(super) fn end(&mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("something follows the end of the request"),
        }
    }
}
