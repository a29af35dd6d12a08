//! Protobuf messages as trees, which tests write and mutate. The lengths of all messages are
//! computed when a tree is encoded.

/// The content of a field.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Message(Message),
}

/// A message: its fields with their numbers, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<(u64, Content)>);

/// A kind of message in an ONNX file. It determines which fields are messages.
#[derive(Clone, Copy)]
enum Schema {
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
}

impl Schema {
    fn of_field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5) => Some(Self::Tensor),
            (Self::Graph, 11..=13) => Some(Self::ValueInfo),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::ValueInfo, 2) => Some(Self::Type),
            (Self::Type, 1) => Some(Self::TensorType),
            (Self::TensorType, 2) => Some(Self::Shape),
            (Self::Shape, 1) => Some(Self::Dimension),
            _ => None,
        }
    }
}

/// Appends a number of variable length.
pub(crate) fn write_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads a number of variable length from the front of `bytes`.
fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a valid file");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

impl Message {
    pub(crate) fn integer(mut self, number: u64, value: i64) -> Self {
        self.0.push((number, Content::Varint(value as u64)));
        self
    }

    pub(crate) fn float(mut self, number: u64, value: f32) -> Self {
        self.0.push((number, Content::Fixed32(value.to_le_bytes())));
        self
    }

    pub(crate) fn bytes(mut self, number: u64, value: impl Into<Vec<u8>>) -> Self {
        self.0.push((number, Content::Bytes(value.into())));
        self
    }

    pub(crate) fn message(mut self, number: u64, value: Message) -> Self {
        self.0.push((number, Content::Message(value)));
        self
    }

    pub(crate) fn messages(mut self, number: u64, values: Vec<Message>) -> Self {
        self.0.extend(values.into_iter().map(|value| (number, Content::Message(value))));
        self
    }

    /// Returns the bytes of the message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, content) in &self.0 {
            let tag = |wire: u64| number << 3 | wire;
            match content {
                Content::Varint(value) => {
                    write_varint(tag(0), &mut bytes);
                    write_varint(*value, &mut bytes);
                }
                Content::Fixed64(value) => {
                    write_varint(tag(1), &mut bytes);
                    bytes.extend(value);
                }
                Content::Fixed32(value) => {
                    write_varint(tag(5), &mut bytes);
                    bytes.extend(value);
                }
                Content::Bytes(value) => write_bytes(tag(2), value, &mut bytes),
                Content::Message(message) => write_bytes(tag(2), &message.encode(), &mut bytes),
            }
        }
        bytes
    }

    /// Reads a valid `GraphProto` as a tree.
    pub(crate) fn read_graph(bytes: &[u8]) -> Self {
        read(bytes, Some(Schema::Graph))
    }

    /// Reads the top level of a valid file. The graph stays encoded.
    pub(crate) fn read_top(bytes: &[u8]) -> Self {
        read(bytes, None)
    }
}

fn write_bytes(tag: u64, value: &[u8], bytes: &mut Vec<u8>) {
    write_varint(tag, bytes);
    write_varint(value.len() as u64, bytes);
    bytes.extend(value);
}

fn read(mut bytes: &[u8], schema: Option<Schema>) -> Message {
    let mut message = Message::default();
    while !bytes.is_empty() {
        let tag = read_varint(&mut bytes);
        let number = tag >> 3;
        let content = match tag & 7 {
            0 => Content::Varint(read_varint(&mut bytes)),
            1 => Content::Fixed64(take(&mut bytes, 8).try_into().expect("eight bytes")),
            2 => {
                let length = read_varint(&mut bytes) as usize;
                let content = take(&mut bytes, length);
                match schema.and_then(|schema| schema.of_field(number)) {
                    Some(schema) => Content::Message(read(content, Some(schema))),
                    None => Content::Bytes(content.to_vec()),
                }
            }
            _ => Content::Fixed32(take(&mut bytes, 4).try_into().expect("four bytes")),
        };
        message.0.push((number, content));
    }
    message
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}
