//! Writes small databases in MaxMind's format (MaxMind DB 2.0), for tests that read them.

/// What a record holds, as far as tests need it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Double(f64),
    Uint16(u16),
    Uint32(u32),
    Uint64(u64),
    Map(Vec<(String, Value)>),
    Array(Vec<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

pub(crate) fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Double(number) => {
                control(3, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Uint16(number) => {
                control(5, 2, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Uint32(number) => {
                control(6, 4, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Uint64(number) => {
                control(9, 8, out);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Map(members) => {
                control(7, members.len(), out);
                for (name, value) in members {
                    Self::Text(name.clone()).write(out);
                    value.write(out);
                }
            }
            Self::Array(items) => {
                control(11, items.len(), out);
                items.iter().for_each(|item| item.write(out));
            }
        }
    }
}

/// Type and length; types from 8 on stand in a byte of their own.
fn control(kind: u8, len: usize, out: &mut Vec<u8>) {
    let (size, more) = match u8::try_from(len).unwrap() {
        short @ 0..29 => (short, None),
        long => (29, Some(long - 29)),
    };
    match kind {
        1..=7 => out.push(kind << 5 | size),
        _ => out.extend_from_slice(&[size, kind - 7]),
    }
    out.extend(more);
}

/// A node's two ways, by the next bit of the address.
#[derive(Clone, Copy)]
enum Way {
    Nowhere,
    Node(usize),
    Data(usize),
}

pub(crate) struct Database {
    nodes: Vec<[Way; 2]>,
    data: Vec<u8>,
}

impl Database {
    /// Of networks in CIDR notation that do not lie in each other.
    pub(crate) fn of<'a>(networks: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<u8> {
        let mut database = Self {
            nodes: vec![[Way::Nowhere; 2]],
            data: Vec::new(),
        };
        for (network, value) in networks {
            let at = database.data.len();
            value.write(&mut database.data);
            database.insert(network, at);
        }
        database.written()
    }

    fn insert(&mut self, network: &str, data: usize) {
        let (address, prefix) = network.split_once('/').unwrap();
        let prefix: u32 = prefix.parse().unwrap();
        // An IPv4 network lies in the first 32 bits of those that begin with 96 zeros.
        let (bits, prefix) = match address.parse().unwrap() {
            std::net::IpAddr::V4(address) => (u128::from(address.to_bits()), prefix + 96),
            std::net::IpAddr::V6(address) => (address.to_bits(), prefix),
        };
        let mut node = 0;
        for depth in 0..prefix {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == prefix {
                self.nodes[node][bit] = Way::Data(data);
                return;
            }
            node = match self.nodes[node][bit] {
                Way::Node(next) => next,
                Way::Nowhere | Way::Data(_) => {
                    self.nodes.push([Way::Nowhere; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][bit] = Way::Node(next);
                    next
                }
            };
        }
    }

    fn written(self) -> Vec<u8> {
        const SEPARATOR: [u8; 16] = [0; 16];
        let count = self.nodes.len();
        let mut out = Vec::new();
        for way in self.nodes.iter().flatten() {
            let record = match *way {
                Way::Node(node) => node,
                Way::Nowhere => count,
                Way::Data(at) => count + SEPARATOR.len() + at,
            };
            out.extend_from_slice(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
        }
        out.extend_from_slice(&SEPARATOR);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        let metadata = map([
            ("node_count", Value::Uint32(u32::try_from(count).unwrap())),
            ("record_size", Value::Uint16(24)),
            ("ip_version", Value::Uint16(6)),
            ("database_type", "Test-City".into()),
            ("languages", Value::Array(vec!["en".into()])),
            ("binary_format_major_version", Value::Uint16(2)),
            ("binary_format_minor_version", Value::Uint16(0)),
            ("build_epoch", Value::Uint64(1_795_435_200)),
            ("description", map([("en", "of a test".into())])),
        ]);
        metadata.write(&mut out);
        out
    }
}
