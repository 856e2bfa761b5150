//! `multipart/x-mixed-replace`: the endless answer to a streaming `sample`, cut into documents
//! (Part 1, 7.2; RFC 2046, 5.1).

use memchr::memmem;

use super::error::{WireError, cut};

/// The longest headers of a part, bytes.
const HEADERS_MAX: usize = 16 << 10;

/// The longest boundary (RFC 2046, 5.1.1), bytes.
const BOUNDARY_MAX: usize = 70;

/// Cuts a stream into its parts. Holds at most one part of the longest kind, and one push.
#[derive(Debug)]
pub struct Multipart {
    /// `--` and the boundary.
    boundary: Vec<u8>,
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes at the buffer's beginning that were returned.
    used: usize,
    /// Bytes of the stream before the buffer's beginning.
    passed: u64,
    /// Bytes of the unused buffer in which no boundary was found.
    searched: usize,
    ended: bool,
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'m> {
    /// Its document.
    pub body: &'m [u8],
    /// Where the document begins in the stream.
    pub offset: u64,
}

/// Where a part is in the unused buffer.
struct Place {
    body: usize,
    length: usize,
    /// Where the next part begins.
    end: usize,
}

impl Multipart {
    /// For an answer with this content type; documents may be `limit` bytes long.
    ///
    /// # Errors
    /// Where the content type is another, or has no boundary.
    pub fn new(content_type: &str, limit: usize) -> Result<Self, WireError> {
        let frame = |problem: String| WireError::Frame { offset: 0, problem };
        let mut parts = content_type.split(';');
        let kind = parts.next().unwrap_or_default().trim();
        if !kind.to_ascii_lowercase().starts_with("multipart/") {
            return Err(frame(format!(
                "the answer is {:?}, not multipart/x-mixed-replace: the agent does not stream",
                cut(kind)
            )));
        }
        let boundary = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
            .map(|(_, value)| value.trim().trim_matches('"'));
        match boundary {
            Some(boundary) if (1..=BOUNDARY_MAX).contains(&boundary.len()) => Ok(Self {
                boundary: [b"--", boundary.as_bytes()].concat(),
                limit,
                buffer: Vec::new(),
                used: 0,
                passed: 0,
                searched: 0,
                ended: false,
            }),
            _ => Err(frame(format!("{:?} has no usable boundary", cut(content_type)))),
        }
    }

    /// Takes the next bytes of the stream. Take all parts out before.
    ///
    /// # Errors
    /// Where the part under way exceeds the limit; nothing more is kept then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.forget_used();
        if self.buffer.len() > self.limit.saturating_add(HEADERS_MAX) {
            return Err(WireError::TooLarge { offset: self.passed, size: None, limit: self.limit });
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next part that is complete; `None`: more bytes are needed.
    ///
    /// # Errors
    /// Where the frame is broken: no boundary where one must be, a length that is none or is
    /// larger than the limit. Nothing can be read after an error.
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, WireError> {
        self.forget_used();
        let Some(place) = self.place()? else { return Ok(None) };
        self.used = place.end;
        self.searched = 0;
        let offset = self.passed.saturating_add(place.body as u64);
        let body = self.buffer.get(place.body..place.body.saturating_add(place.length));
        Ok(body.map(|body| Part { body, offset }))
    }

    /// Whether the sender said that no further part follows.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    fn forget_used(&mut self) {
        if self.used > 0 {
            self.passed = self.passed.saturating_add(self.used as u64);
            self.buffer.drain(..self.used);
            self.used = 0;
        }
    }

    fn place(&mut self) -> Result<Option<Place>, WireError> {
        if self.ended {
            return Ok(None);
        }
        let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let rest = self.buffer.get(blank..).unwrap_or_default();
        let shown = rest.len().min(self.boundary.len());
        if rest.get(..shown) != self.boundary.get(..shown) {
            return Err(self.frame(
                blank,
                "no boundary where a part must begin: the part before \
                                          is longer or shorter than its Content-length",
            ));
        }
        let after = blank.saturating_add(self.boundary.len());
        let Some(tail) = self.buffer.get(after..).filter(|tail| tail.len() >= 2) else {
            return Ok(None);
        };
        if tail.starts_with(b"--") {
            self.ended = true;
            return Ok(None);
        }
        let Some((headers, gap)) = end_of_headers(tail) else {
            if tail.len() > HEADERS_MAX {
                return Err(self.frame(after, "the headers of a part do not end"));
            }
            return Ok(None);
        };
        let body = after.saturating_add(headers).saturating_add(gap);
        match self.announced(tail.get(..headers).unwrap_or_default(), after)? {
            Some(length) => self.of_length(body, length),
            None => self.until_boundary(body),
        }
    }

    /// The Content-length, if there is one.
    fn announced(&self, headers: &[u8], at: usize) -> Result<Option<usize>, WireError> {
        let text = String::from_utf8_lossy(headers);
        let value = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim());
        let Some(value) = value else { return Ok(None) };
        let Ok(size) = value.parse::<u64>() else {
            return Err(self.frame(at, "the Content-length of a part is no number"));
        };
        match usize::try_from(size).ok().filter(|size| *size <= self.limit) {
            Some(length) => Ok(Some(length)),
            None => Err(WireError::TooLarge {
                offset: self.passed.saturating_add(at as u64),
                size: Some(size),
                limit: self.limit,
            }),
        }
    }

    fn of_length(&self, body: usize, length: usize) -> Result<Option<Place>, WireError> {
        let end = body.saturating_add(length);
        if self.buffer.len() < end {
            return Ok(None);
        }
        Ok(Some(Place { body, length, end }))
    }

    /// Without a length, a part reaches to the next boundary.
    fn until_boundary(&mut self, body: usize) -> Result<Option<Place>, WireError> {
        let from = body.max(self.searched);
        let found = self.buffer.get(from..).and_then(|rest| memmem::find(rest, &self.boundary));
        let Some(found) = found else {
            let held = self.buffer.len().saturating_sub(body);
            if held > self.limit {
                let offset = self.passed.saturating_add(body as u64);
                return Err(WireError::TooLarge { offset, size: None, limit: self.limit });
            }
            self.searched = self.buffer.len().saturating_sub(self.boundary.len()).max(body);
            return Ok(None);
        };
        let end = from.saturating_add(found);
        Ok(Some(Place { body, length: end.saturating_sub(body), end }))
    }

    fn frame(&self, at: usize, problem: &str) -> WireError {
        let offset = self.passed.saturating_add(at as u64);
        WireError::Frame { offset, problem: problem.into() }
    }
}

/// Length of the headers, and of the empty line after them.
fn end_of_headers(bytes: &[u8]) -> Option<(usize, usize)> {
    let window = bytes.get(..bytes.len().min(HEADERS_MAX))?;
    let crlf = memmem::find(window, b"\r\n\r\n").map(|at| (at, 4));
    let lf = memmem::find(window, b"\n\n").map(|at| (at, 2));
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => Some(if crlf.0 < lf.0 { crlf } else { lf }),
        (crlf, lf) => crlf.or(lf),
    }
}
