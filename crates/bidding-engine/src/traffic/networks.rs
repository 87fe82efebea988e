//! Networks of data centres and proxies.

use super::{BadList, entries};
use std::net::IpAddr;

const MOST: usize = 4_000_000;
const EXPECTED: &str =
    "a network (192.0.2.0/24), an address, or the first and the last of a range (192.0.2.1,192.0.2.9)";

/// Addresses from whom nobody looks at ads.
#[derive(Debug, Default)]
pub struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// First and last, rising, none touching the next.
type Ranges<T> = Box<[(T, T)]>;

impl Networks {
    /// One entry a line: a network in CIDR notation, an address, or a range as `first,last` or `first-last`; what follows
    /// a further comma is not looked at (the lists of the Trustworthy Accountability Group name the owner there).
    ///
    /// # Errors
    /// At the first line that is none of them; when there is none, or too many.
    pub fn parse(text: &str) -> Result<Self, BadList> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (line, entry) in entries(text) {
            match range(entry) {
                Some((IpAddr::V4(first), IpAddr::V4(last))) if first <= last => {
                    v4.push((first.to_bits(), last.to_bits()));
                }
                Some((IpAddr::V6(first), IpAddr::V6(last))) if first <= last => {
                    v6.push((first.to_bits(), last.to_bits()));
                }
                _ => {
                    return Err(BadList::Line {
                        line,
                        expected: EXPECTED,
                    });
                }
            }
            if v4.len() + v6.len() > MOST {
                return Err(BadList::TooLong(MOST));
            }
        }
        if v4.is_empty() && v6.is_empty() {
            return Err(BadList::Empty);
        }
        Ok(Self {
            v4: joined(v4),
            v6: joined(v6),
        })
    }

    /// An IPv4 address inside of an IPv6 one is taken out of it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }

    /// Ranges apart from each other.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn range(entry: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((address, prefix)) = entry.split(',').next()?.split_once('/') {
        return network(address.trim().parse().ok()?, prefix.trim().parse().ok()?);
    }
    let mut parts = entry.split([',', '-']).map(str::trim);
    let first: IpAddr = parts.next()?.parse().ok()?;
    match parts.next() {
        None => Some((first, first)),
        Some(last) => Some((first, last.parse().ok()?)),
    }
}

fn network(address: IpAddr, prefix_bits: u32) -> Option<(IpAddr, IpAddr)> {
    match address {
        IpAddr::V4(address) if prefix_bits <= 32 => {
            let others = u32::MAX.checked_shr(prefix_bits).unwrap_or(0);
            let first = address.to_bits() & !others;
            Some((IpAddr::V4(first.into()), IpAddr::V4((first | others).into())))
        }
        IpAddr::V6(address) if prefix_bits <= 128 => {
            let others = u128::MAX.checked_shr(prefix_bits).unwrap_or(0);
            let first = address.to_bits() & !others;
            Some((IpAddr::V6(first.into()), IpAddr::V6((first | others).into())))
        }
        _ => None,
    }
}

fn joined<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Ranges<T> {
    ranges.sort_unstable();
    let mut joined: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined.into()
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    let nearest = behind.checked_sub(1).and_then(|at| ranges.get(at));
    nearest.is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds_text(list: &str, address: &str) -> bool {
        Networks::parse(list).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn networks_addresses_and_ranges_are_read() {
        let list = "# data centres\n192.0.2.0/25 # cloud\n\n198.51.100.7\r\n203.0.113.1,203.0.113.9,Owner\n\
                    203.0.113.20 - 203.0.113.21\n2001:db8::/33\n2001:db9::5";
        for (address, expected) in [
            ("192.0.2.0", true),
            ("192.0.2.127", true),
            ("192.0.2.128", false),
            ("::ffff:192.0.2.1", true),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("203.0.113.9", true),
            ("203.0.113.10", false),
            ("203.0.113.21", true),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false),
            ("2001:db9::5", true),
            ("::", false),
        ] {
            assert_eq!(holds_text(list, address), expected, "{address}");
        }
        assert!(holds_text("0.0.0.0/0", "255.255.255.255") && holds_text("::/0", "ffff::"));
    }

    #[test]
    fn what_is_no_network_is_named_by_its_line() {
        for wrong in [
            "x",
            "192.0.2.0/33",
            "192.0.2.9,192.0.2.1",
            "192.0.2.1,::1",
            "192.0.2.0/x",
            "::/129",
        ] {
            let list = format!("# one\n192.0.2.1\n{wrong}");
            let expected = BadList::Line {
                line: 3,
                expected: EXPECTED,
            };
            assert_eq!(Networks::parse(&list).err(), Some(expected), "{wrong}");
        }
        assert_eq!(Networks::parse("# nothing\n").err(), Some(BadList::Empty));
    }

    proptest! {
        /// As a look at each range in turn.
        #[test]
        fn an_address_is_found_where_one_of_the_ranges_holds_it(
            ranges in prop::collection::vec((0..60_u32, 0..20_u32), 1..12),
            address in 0..90_u32,
        ) {
            let at = |number: u32| std::net::Ipv4Addr::from(0xc000_0200 + number);
            let lines: Vec<String> = ranges.iter().map(|(first, more)| format!("{}-{}", at(*first), at(first + more))).collect();
            let expected = ranges.iter().any(|(first, more)| (*first..=first + more).contains(&address));
            prop_assert_eq!(holds_text(&lines.join("\n"), &at(address).to_string()), expected);
        }
    }
}
