//! Reader for the protobuf wire format.
//!
//! The reader checks every length against the bytes that remain, and never reads or allocates
//! beyond them, even if the file is hostile. It is stricter than protobuf: a number must have its
//! shortest encoding, because the parsers of the runtimes disagree about longer ones.

use crate::error::{Error, Result, Status};
use crate::memory::push_value;

/// Reader for the fields of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// The bytes that have not been read yet.
    rest: &'a [u8],
    /// Position of these bytes in the file.
    at: usize,
}

/// Content of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64,
    /// A text, bytes, a message or packed numbers.
    Bytes(Reader<'a>),
    /// Four bytes, in little-endian order.
    Fixed32(u32),
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// Position of the field in the file.
    pub(super) at: usize,
    pub(super) content: Content<'a>,
}

/// Returns an error at a position in the file.
pub(super) fn invalid(at: usize, problem: &str) -> Error {
    Error::new(Status::ModelInvalid, format!("byte {at}: {problem}"))
}

impl<'a> Reader<'a> {
    /// Creates a reader for a whole file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// Returns the bytes that have not been read yet.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the position in the file.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns whether all bytes have been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the remaining bytes as text.
    pub(super) fn read_text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.rest).map_err(|_| invalid(self.at, "a text is not valid UTF-8"))
    }

    /// Reads a number of variable length.
    pub(super) fn read_varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err(invalid(start, "a number is truncated"));
            };
            (self.rest, self.at) = (rest, self.at + 1);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(invalid(start, "a number is not in its shortest encoding"));
                }
                return Ok(value);
            }
        }
        Err(invalid(start, "a number has more than 64 bits"))
    }

    /// Reads `count` bytes.
    fn read_bytes(&mut self, count: u64) -> Result<Self> {
        let parts = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((bytes, rest)) = parts else {
            let remaining = self.rest.len();
            let problem = format!("a field has {count} bytes, but {remaining} remain");
            return Err(invalid(self.at, &problem));
        };
        let field = Self { rest: bytes, at: self.at };
        (self.rest, self.at) = (rest, self.at + bytes.len());
        Ok(field)
    }

    /// Reads four bytes as a number.
    fn read_fixed32(&mut self) -> Result<u32> {
        let bytes = self.read_bytes(4)?.rest.try_into().unwrap_or_default();
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads the next field. At the end of the message, returns `None`.
    pub(super) fn read_field(&mut self) -> Result<Option<Field<'a>>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.read_varint()?;
        let number = tag >> 3;
        if number == 0 || number > 0x1fff_ffff {
            return Err(invalid(at, "a field number is out of range"));
        }
        let content = match tag & 7 {
            0 => Content::Varint(self.read_varint()?),
            1 => self.read_bytes(8).map(|_| Content::Fixed64)?,
            2 => {
                let length = self.read_varint()?;
                Content::Bytes(self.read_bytes(length)?)
            }
            5 => Content::Fixed32(self.read_fixed32()?),
            _ => return Err(invalid(at, "a wire type is unknown")),
        };
        Ok(Some(Field { number, at, content }))
    }
}

impl<'a> Field<'a> {
    fn wrong_type(&self) -> Error {
        invalid(self.at, "a field has the wrong wire type")
    }

    /// Returns the content as a message, a text, bytes or packed numbers.
    pub(super) fn bytes(&self) -> Result<Reader<'a>> {
        match self.content {
            Content::Bytes(reader) => Ok(reader),
            _ => Err(self.wrong_type()),
        }
    }

    /// Returns the content as a text.
    pub(super) fn text(&self) -> Result<&'a str> {
        self.bytes()?.read_text()
    }

    /// Returns the content as a signed number.
    pub(super) fn integer(&self) -> Result<i64> {
        match self.content {
            Content::Varint(value) => Ok(value.cast_signed()),
            _ => Err(self.wrong_type()),
        }
    }

    /// Returns the content as a float32.
    pub(super) fn float(&self) -> Result<f32> {
        match self.content {
            Content::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(self.wrong_type()),
        }
    }

    /// Appends the content, which is one number or packed numbers, to `values`, which may have at
    /// most `limit` entries.
    pub(super) fn append_integers(&self, values: &mut Vec<i64>, limit: usize) -> Result<()> {
        self.visit_integers(|value| {
            if values.len() >= limit {
                return Err(invalid(self.at, &format!("a list has more than {limit} numbers")));
            }
            push_value(values, value, "a list of the model package")
        })
    }

    /// Calls `visit` with each number of the content, which is one number or packed numbers.
    pub(super) fn visit_integers(&self, mut visit: impl FnMut(i64) -> Result<()>) -> Result<()> {
        match self.content {
            Content::Varint(value) => visit(value.cast_signed()),
            Content::Bytes(mut packed) => {
                while !packed.is_at_end() {
                    visit(packed.read_varint()?.cast_signed())?;
                }
                Ok(())
            }
            _ => Err(self.wrong_type()),
        }
    }

    /// Calls `visit` with each float of the content, which is one float or packed floats.
    pub(super) fn visit_floats(&self, mut visit: impl FnMut(f32) -> Result<()>) -> Result<()> {
        match self.content {
            Content::Fixed32(bits) => visit(f32::from_bits(bits)),
            Content::Bytes(mut packed) => {
                while !packed.is_at_end() {
                    visit(f32::from_bits(packed.read_fixed32()?))?;
                }
                Ok(())
            }
            _ => Err(self.wrong_type()),
        }
    }
}

/// Stores the value of a field that may occur only once in its message. Protobuf readers keep the
/// last value or merge the values, so a repeated field could mean different things to different
/// readers.
pub(super) fn set_once<T>(slot: &mut Option<T>, value: T, at: usize) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(at, "a field is repeated")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(bytes: &[u8], problem: &str) {
        let error = Reader::new(bytes).read_field().expect_err(problem);
        assert_eq!(error, invalid(0, problem));
    }

    #[test]
    fn malformed_fields_are_refused() {
        refuse(&[0x02], "a field number is out of range");
        refuse(&[0x82, 0x80, 0x80, 0x80, 0x10], "a field number is out of range");
        refuse(&[0x80], "a number is truncated");
        refuse(&[0x8a, 0x00], "a number is not in its shortest encoding");
        refuse(&[0x0c], "a wire type is unknown");
        let error = Reader::new(&[0x0a, 3, 1, 2]).read_field().expect_err("truncated");
        assert_eq!(error, invalid(2, "a field has 3 bytes, but 2 remain"));
    }

    #[test]
    fn numbers_have_at_most_64_bits() {
        let read = |bytes: &[u8]| Reader::new(bytes).read_varint();
        assert_eq!(read(&[0xac, 2]), Ok(300));
        let largest = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(read(&largest), Ok(u64::MAX));
        let large = [[0xff; 9].as_slice(), &[2]].concat();
        assert_eq!(read(&large), Err(invalid(0, "a number has more than 64 bits")));
    }

    #[test]
    fn a_field_is_read_only_as_its_type() {
        let read = |bytes: &'static [u8]| Reader::new(bytes).read_field().unwrap().unwrap();
        let (varint, fixed64) = (read(&[0x08, 5]), read(&[0x09, 0, 0, 0, 0, 0, 0, 0, 0]));
        let (bytes, fixed32) = (read(&[0x0a, 1, 0x61]), read(&[0x0d, 0, 0, 0x80, 0x3f]));
        assert_eq!((varint.integer(), fixed32.float()), (Ok(5), Ok(1.0)));
        assert_eq!((varint.number, bytes.text()), (1, Ok("a")));
        let wrong = invalid(0, "a field has the wrong wire type");
        for field in [fixed64, bytes, fixed32] {
            assert_eq!(field.integer().as_ref(), Err(&wrong));
        }
        for field in [varint, fixed64, bytes] {
            assert_eq!(field.float().as_ref(), Err(&wrong));
        }
        for field in [varint, fixed64, fixed32] {
            assert_eq!(field.bytes().expect_err("no bytes"), wrong);
        }
        for field in [fixed64, fixed32] {
            assert_eq!(field.visit_integers(|_| Ok(())).as_ref(), Err(&wrong));
        }
        for field in [fixed64, varint] {
            assert_eq!(field.visit_floats(|_| Ok(())).as_ref(), Err(&wrong));
        }
        assert_eq!(read(&[0x0a, 1, 0xff]).text(), Err(invalid(2, "a text is not valid UTF-8")));
    }

    #[test]
    fn a_list_has_at_most_the_given_number_of_entries() {
        let field = Reader::new(&[0x0a, 3, 1, 2, 3]).read_field().unwrap().unwrap();
        let mut values = vec![0];
        assert_eq!(field.append_integers(&mut values, 4), Ok(()));
        assert_eq!(values, [0, 1, 2, 3]);
        let error = field.append_integers(&mut values, 6).expect_err("seven entries");
        assert_eq!(error, invalid(0, "a list has more than 6 numbers"));
    }
}
