//! Which node serves which slot, as the nodes of a Cluster tell it.

use std::collections::HashMap;

/// The hash slot of a key's tag (CRC16 as XMODEM has it, of 16,384).
pub(crate) fn slot_of(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    });
    crc % 16_384
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A master, and whether it was given a replica, dead or alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Master {
    pub(crate) address: Address,
    pub(crate) has_replica: bool,
    /// Of two masters that claim a slot, the later elected one has it.
    config_epoch: u64,
    /// First and last slot, both included.
    slots: Vec<(u16, u16)>,
}

/// What one node says (`CLUSTER NODES`, which unlike `CLUSTER SLOTS` names failed replicas too). `host`: how the node itself was
/// reached, for where it does not know its own address.
pub(crate) fn masters(told: &str, host: &str, is_tls: bool) -> Vec<Master> {
    let mut masters: HashMap<&str, Master> = HashMap::new();
    let mut with_replica: Vec<&str> = Vec::new();
    for line in told.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [id, address, flags, master_of, _, _, config_epoch, _, slots @ ..] = fields.as_slice() else {
            continue;
        };
        if *master_of != "-" {
            with_replica.push(master_of);
            continue;
        }
        let flags: Vec<&str> = flags.split(',').collect();
        let is_gone = ["fail", "noaddr", "handshake"]
            .iter()
            .any(|flag| flags.contains(flag));
        let Some(address) = address_of(address, host, is_tls).filter(|_| !is_gone) else {
            continue;
        };
        masters.insert(
            id,
            Master {
                address,
                has_replica: false,
                config_epoch: config_epoch.parse().unwrap_or(0),
                slots: slots.iter().filter_map(|range| range_of(range)).collect(),
            },
        );
    }
    for master in with_replica {
        if let Some(master) = masters.get_mut(master) {
            master.has_replica = true;
        }
    }
    masters
        .into_values()
        .filter(|master| !master.slots.is_empty())
        .collect()
}

/// The one of several views' masters that has the slot.
pub(crate) fn owner(masters: &[Master], slot: u16) -> Option<&Master> {
    let claims = |master: &&Master| {
        master
            .slots
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&slot))
    };
    masters
        .iter()
        .filter(claims)
        .max_by_key(|master| (master.config_epoch, master.has_replica))
}

/// `ip:port@bus,hostname`, or `host:port` as a redirection has it; a certificate is for the host's name. `host`: how the node
/// that says it was reached, for where it names none.
pub(crate) fn address_of(told: &str, host: &str, is_tls: bool) -> Option<Address> {
    let (address, rest) = told.split_once('@').unwrap_or((told, ""));
    let (ip, port) = address.rsplit_once(':')?;
    let name = rest.split(',').nth(1).filter(|name| is_tls && !name.is_empty());
    let ip = name.unwrap_or(ip).trim_start_matches('[').trim_end_matches(']');
    Some(Address {
        host: if ip.is_empty() {
            host.to_owned()
        } else {
            ip.to_owned()
        },
        port: port.parse().ok()?,
    })
}

/// `5461-10922`, `7`; a slot that is moving (`[7->-id]`) stands a second time in brackets.
fn range_of(told: &str) -> Option<(u16, u16)> {
    let (first, last) = told.split_once('-').unwrap_or((told, told));
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        let found = ["123456789", "g00", "g63", "user1000"].map(slot_of);
        assert_eq!(found, [0x31c3, 11_581, 14_328, 3_443]);
    }

    #[test]
    fn masters_replicas_and_moves_are_read() {
        let told = "\
a 127.0.0.1:7000@17000 myself,master - 0 0 5 connected 0-5460 9000 [77->-b]
b 127.0.0.1:7001@17001,redis-1.example master - 0 0 2 connected 5461-8999
c :7002@17002 master,fail - 0 0 1 connected 9001-9100
d 127.0.0.1:7003@17003 slave,fail a 0 0 5 disconnected
e 127.0.0.1:7004@17004 master - 0 0 0 connected";
        let found = masters(told, "10.0.0.1", false);
        assert_eq!(found.len(), 2);
        let a = owner(&found, 9_000).unwrap();
        assert_eq!((a.address.port, a.has_replica), (7_000, true));
        let b = owner(&found, 5_461).unwrap();
        assert_eq!((b.address.host.as_str(), b.has_replica), ("127.0.0.1", false));
        assert_eq!(owner(&found, 9_050), None);
        let by_name = masters(told, "10.0.0.1", true);
        assert_eq!(owner(&by_name, 5_461).unwrap().address.host, "redis-1.example");
    }

    #[test]
    fn the_later_elected_of_two_claims_has_the_slot() {
        let old = "a 127.0.0.1:7000@17000 myself,master - 0 0 5 connected 0-16383\n";
        let new = "b 127.0.0.1:7001@17001 myself,master - 0 0 6 connected 0-16383\n";
        let found = [masters(old, "", false), masters(new, "", false)].concat();
        assert_eq!(owner(&found, 1).unwrap().address.port, 7_001);
    }
}
