//! Deterministic mutations of a valid package. The hash in the metadata is corrected, so that a
//! mutated graph reaches the checks of the graph.

use super::builder::hash;
use super::tree::{Content, Message};

/// Operators that a mutation writes into a node.
const OPERATORS: [&str; 24] = [
    "Add",
    "Mul",
    "Div",
    "Conv",
    "MaxPool",
    "AveragePool",
    "Gemm",
    "MatMul",
    "Concat",
    "Slice",
    "Gather",
    "Pad",
    "Expand",
    "Reshape",
    "ReduceMean",
    "Transpose",
    "Softmax",
    "Cast",
    "Clip",
    "ConstantOfShape",
    "Range",
    "Resize",
    "Loop",
    "TopK",
];

/// Numbers at the edges of ranges.
const NUMBERS: [i64; 20] = [
    0,
    1,
    2,
    3,
    7,
    64,
    255,
    4095,
    65_535,
    65_536,
    1 << 20,
    1 << 31,
    (1 << 32) + 1,
    1 << 60,
    1 << 62,
    -1,
    -2,
    -8,
    i64::MAX,
    i64::MIN,
];

/// Texts that a mutation writes into the metadata.
const VALUES: [&str; 12] = [
    "",
    "0",
    "-1",
    "1e400",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "[]",
    "{}",
    "null",
    "[0,1,2,3,4,5,6,7,8,9]",
    "NaN",
];

/// A package that can be mutated.
pub(crate) struct Seed {
    top: Message,
    graph: Message,
    bytes: Vec<u8>,
}

/// A xorshift generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number less than `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn choose<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

impl Seed {
    /// Creates a seed from a valid package.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let top = Message::read_top(&bytes);
        let graph = top.0.iter().find_map(|(number, content)| match content {
            Content::Bytes(graph) if *number == 7 => Some(Message::read_graph(graph)),
            _ => None,
        });
        Self { graph: graph.expect("the package has a graph"), top, bytes }
    }

    /// Returns the mutation with this number.
    pub(crate) fn mutate(&self, number: u64) -> Vec<u8> {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..4).for_each(|_| _ = random.next());
        let mut graph = self.graph.clone();
        let mut bytes = None;
        let mut top = self.top.clone();
        match random.below(100) {
            0..50 => {
                for _ in 0..=random.below(3) {
                    mutate_message(&mut graph, &mut random);
                }
            }
            50..75 => {
                let mut encoded = graph.encode();
                for _ in 0..=random.below(3) {
                    mutate_bytes(&mut encoded, &mut random);
                }
                bytes = Some(encoded);
            }
            75..92 => mutate_metadata(&mut top, &mut random),
            _ => {
                let mut file = self.bytes.clone();
                mutate_bytes(&mut file, &mut random);
                return file;
            }
        }
        replace_graph(top, bytes.unwrap_or_else(|| graph.encode())).encode()
    }
}

/// Replaces the graph and corrects its hash.
fn replace_graph(mut top: Message, graph: Vec<u8>) -> Message {
    let hash = hash(&graph);
    for (number, content) in &mut top.0 {
        match content {
            Content::Bytes(entry) if *number == 14 => {
                let key = b"tteview.graph_sha256";
                if entry.windows(key.len()).any(|part| part == key) {
                    *entry = Message::default().bytes(1, *key).bytes(2, hash.clone()).encode();
                }
            }
            _ => {}
        }
    }
    for (number, content) in &mut top.0 {
        if *number == 7 {
            *content = Content::Bytes(graph.clone());
        }
    }
    top
}

/// Changes a field at random: its number, its content or the list of fields around it.
fn mutate_message(message: &mut Message, random: &mut Random) {
    let fields = &mut message.0;
    if fields.is_empty() {
        fields.push((random.next() % 30 + 1, Content::Varint(random.next())));
        return;
    }
    // The nodes come first. Weights that come later are less interesting.
    let end = if random.below(3) > 0 { fields.len().div_ceil(2) } else { fields.len() };
    let at = random.below(end);
    let is_message = matches!(fields[at].1, Content::Message(_));
    if is_message && random.below(8) > 0 {
        if let Content::Message(inner) = &mut fields[at].1 {
            mutate_message(inner, random);
        }
        return;
    }
    match random.below(12) {
        0 => _ = fields.remove(at),
        1 => {
            let copy = fields[at].clone();
            for _ in 0..random.choose(&[1, 2, 9, 40]) {
                fields.insert(at, copy.clone());
            }
        }
        2 => {
            let other = random.below(fields.len());
            fields.swap(at, other);
        }
        3 => fields[at].0 = random.next() % 30 + 1,
        4 => {
            let other = random.below(fields.len());
            fields[at].1 = fields[other].1.clone();
        }
        5 => fields.truncate(at),
        _ => mutate_content(&mut fields[at].1, random),
    }
}

fn mutate_content(content: &mut Content, random: &mut Random) {
    match content {
        Content::Varint(value) => {
            *value = match random.below(3) {
                0 => value.wrapping_add_signed(random.choose(&[-1, 1, 2, 16])),
                _ => random.choose(&NUMBERS) as u64,
            };
        }
        Content::Fixed32(bytes) => {
            let value = random.choose(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e38, 1e-40]);
            *bytes = value.to_le_bytes();
        }
        Content::Fixed64(bytes) => *bytes = random.next().to_le_bytes(),
        Content::Bytes(bytes) if is_operator(bytes) && random.below(2) == 0 => {
            *bytes = random.choose(&OPERATORS).into();
        }
        Content::Bytes(bytes) if bytes.len().is_multiple_of(8) && random.below(2) == 0 => {
            if let Some(value) = bytes.chunks_exact_mut(8).next() {
                value.copy_from_slice(&random.choose(&NUMBERS).to_le_bytes());
            }
        }
        Content::Bytes(bytes) => mutate_bytes(bytes, random),
        Content::Message(message) => mutate_message(message, random),
    }
}

fn is_operator(bytes: &[u8]) -> bool {
    bytes.len() > 2 && bytes[0].is_ascii_uppercase() && bytes.iter().all(u8::is_ascii_alphabetic)
}

/// Flips, replaces, inserts, removes or repeats bytes.
fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.next() as u8);
        return;
    }
    // The nodes are at the start of a file, and the metadata is at its end.
    let window = bytes.len().min(8192);
    let at = match random.below(4) {
        0 => random.below(bytes.len()),
        1 => bytes.len() - 1 - random.below(window),
        _ => random.below(window),
    };
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.choose(&[0, 1, 0x7f, 0x80, 0xff]),
        3 => bytes.insert(at, random.next() as u8),
        4 => _ = bytes.remove(at),
        5 => {
            let end = (at + random.choose(&[4, 10, 11, 16])).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
        6 => {
            let end = (at + random.below(64)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => bytes.truncate(at),
    }
}

/// Replaces a value of the metadata, or a number in it.
fn mutate_metadata(top: &mut Message, random: &mut Random) {
    let is_entry = |(number, _): &&mut (u64, Content)| *number == 14;
    let mut entries: Vec<_> = top.0.iter_mut().filter(is_entry).collect();
    let at = random.below(entries.len());
    let Content::Bytes(entry) = &mut entries[at].1 else { return };
    let mut fields = Message::read_top(entry);
    let Some((_, Content::Bytes(value))) = fields.0.get_mut(1) else { return };
    let digits: Vec<usize> =
        (0..value.len()).filter(|&index| value[index].is_ascii_digit()).collect();
    if digits.is_empty() || random.below(3) == 0 {
        *value = random.choose(&VALUES).into();
    } else {
        let at = random.choose(&digits);
        let number = random.choose(&NUMBERS).to_string();
        value.splice(at..=at, number.into_bytes());
    }
    *entry = fields.encode();
}
