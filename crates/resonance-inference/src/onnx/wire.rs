//! The fields of a protobuf message (protobuf encoding guide, "Message Structure"). Reads only
//! what is there: no recursion, no allocation, no panic.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Field<'a> {
    /// The bytes of a text, message or packed field; empty for numbers.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The number of a varint field; zero for others.
    pub(super) fn int(self) -> i64 {
        match self {
            // Protobuf writes negative int64 as their two's complement.
            Self::Varint(number) => number as i64,
            _ => 0,
        }
    }

    /// A text field; what is not UTF-8 is replaced.
    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of one message, in the order of the bytes.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for at in 0..10 {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            if at == 9 && *byte > 1 {
                return Err(Malformed);
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
                Field::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
                Field::Fixed32(u32::from_le_bytes(bytes))
            }
            // Groups are obsolete; ONNX has none.
            _ => return Err(Malformed),
        };
        Ok((number, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The numbers of a repeated varint field, packed or one at a time.
pub(super) fn integers(field: Field<'_>, into: &mut Vec<i64>) -> Result<(), Malformed> {
    match field {
        Field::Varint(number) => into.push(number as i64),
        Field::Bytes(packed) => {
            let mut packed = Fields::of(packed);
            while !packed.0.is_empty() {
                into.push(packed.varint()? as i64);
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}
