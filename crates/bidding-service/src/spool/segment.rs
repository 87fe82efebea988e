//! The bytes of a segment: frames one after the other, nothing else.
//!
//! marker | length u32 | arrival i64 | CRC32C u32 | payload, little endian. The sum covers the segment's nonce and the
//! frame's place in it, so that no copy of a frame, and no text that looks like one, reads as a record.

use std::ops::Range;

const MARKER: [u8; 4] = [0xa5, b'S', b'P', b'L'];
pub(super) const HEADER_BYTES: usize = 20;
/// No notice comes near; a length beyond it is damage.
pub(super) const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// One record as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spooled {
    /// Unix milliseconds.
    pub(crate) arrived_at_ms: i64,
    pub(crate) payload: Vec<u8>,
}

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) range: Range<usize>,
    /// Nothing readable follows: what a killed process or a lost power leaves behind.
    pub(super) is_tail: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) records: Vec<Spooled>,
    pub(super) damaged: Vec<Damage>,
}

/// Appends the frame that stands at `segment_offset` of the segment.
///
/// Precondition: the payload is no longer than [`MAX_PAYLOAD_BYTES`].
pub(super) fn write(nonce: u64, segment_offset: u64, arrived_at_ms: i64, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&arrived_at_ms.to_le_bytes());
    out.extend_from_slice(&checksum(nonce, segment_offset, arrived_at_ms, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Every record that can be read, and what stands between them. Takes any bytes.
pub(super) fn read(nonce: u64, bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut at = 0;
    while at < bytes.len() {
        if let Some((record, next)) = frame_at(nonce, bytes, at) {
            contents.records.push(record);
            at = next;
            continue;
        }
        let next = (at + 1..bytes.len()).find(|&later| frame_at(nonce, bytes, later).is_some());
        let end = next.unwrap_or(bytes.len());
        contents.damaged.push(Damage {
            range: at..end,
            is_tail: next.is_none(),
        });
        at = end;
    }
    contents
}

/// The record whose frame begins at `at`, and where the next one does.
fn frame_at(nonce: u64, bytes: &[u8], at: usize) -> Option<(Spooled, usize)> {
    let mut rest = bytes.get(at..)?.strip_prefix(&MARKER)?;
    let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    let arrived_at_ms = i64::from_le_bytes(take(&mut rest)?);
    let sum = u32::from_le_bytes(take(&mut rest)?);
    if length > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = rest.get(..length)?;
    let is_whole = sum == checksum(nonce, at as u64, arrived_at_ms, payload);
    is_whole.then(|| {
        let record = Spooled {
            arrived_at_ms,
            payload: payload.to_vec(),
        };
        (record, at + HEADER_BYTES + length)
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn checksum(nonce: u64, segment_offset: u64, arrived_at_ms: i64, payload: &[u8]) -> u32 {
    let mut place = [0; 32];
    place[..8].copy_from_slice(&nonce.to_le_bytes());
    place[8..16].copy_from_slice(&segment_offset.to_le_bytes());
    place[16..24].copy_from_slice(&arrived_at_ms.to_le_bytes());
    place[24..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn segment(nonce: u64, records: &[Spooled]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            let offset = bytes.len() as u64;
            write(nonce, offset, record.arrived_at_ms, &record.payload, &mut bytes);
        }
        bytes
    }

    fn record() -> impl Strategy<Value = Spooled> {
        (any::<i64>(), vec(any::<u8>(), 0..60)).prop_map(|(arrived_at_ms, payload)| Spooled {
            arrived_at_ms,
            payload,
        })
    }

    /// A record that holds a frame of its own, as an attacker would write it.
    #[test]
    fn a_frame_inside_a_payload_is_no_record() {
        let inner = Spooled {
            arrived_at_ms: 1,
            payload: b"inner".to_vec(),
        };
        let outer = Spooled {
            arrived_at_ms: 2,
            payload: segment(7, &[inner]),
        };
        let mut bytes = segment(7, std::slice::from_ref(&outer));
        assert_eq!(read(7, &bytes).records, [outer]);
        bytes[4] ^= 1;
        assert_eq!(read(7, &bytes).records, []);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(nonce: u64, records in vec(record(), 0..20)) {
            let contents = read(nonce, &segment(nonce, &records));
            prop_assert_eq!(contents, Contents { records, damaged: Vec::new() });
        }

        #[test]
        fn no_bytes_panic_or_read_as_a_record(nonce: u64, bytes in vec(any::<u8>(), 0..300), marked: bool) {
            let bytes = if marked { [MARKER.to_vec(), bytes].concat() } else { bytes };
            let contents = read(nonce, &bytes);
            prop_assert_eq!(contents.records, []);
            prop_assert_eq!(contents.damaged.len(), usize::from(!bytes.is_empty()));
        }

        #[test]
        fn damage_costs_the_records_it_touches_and_no_other(
            nonce: u64,
            records in vec(record(), 1..12),
            hits in vec((any::<prop::sample::Index>(), 1..=255_u8), 1..6),
        ) {
            let mut bytes = segment(nonce, &records);
            let mut hurt = vec![false; records.len()];
            for (at, change) in hits {
                let at = at.index(bytes.len());
                bytes[at] = bytes[at].wrapping_add(change);
                let mut end = 0;
                let touched = records.iter().position(|record| {
                    end += HEADER_BYTES + record.payload.len();
                    at < end
                });
                hurt[touched.unwrap()] = true;
            }
            let read = read(nonce, &bytes).records;
            let whole: Vec<_> = records.iter().zip(&hurt).filter(|(_, hurt)| !**hurt).map(|(of, _)| of).collect();
            // Two changes of one byte may have undone each other, so hurt records may be there, as they were written.
            prop_assert!(whole.iter().all(|of| read.contains(of)));
            prop_assert!(read.iter().all(|of| records.contains(of)));
        }

        #[test]
        fn a_torn_tail_leaves_everything_before_it(
            nonce: u64,
            records in vec(record(), 1..12),
            cut: prop::sample::Index,
            zeros in 0..40_usize,
        ) {
            let whole = segment(nonce, &records);
            let at = cut.index(whole.len());
            let mut bytes = whole[..at].to_vec();
            bytes.resize(at + zeros, 0);
            let contents = read(nonce, &bytes);
            prop_assert!(records.starts_with(&contents.records));
            prop_assert!(contents.damaged.iter().all(|damage| damage.is_tail));
            let kept = segment(nonce, &contents.records).len();
            let lost = contents.damaged.iter().map(|damage| damage.range.len()).sum::<usize>();
            prop_assert_eq!(kept + lost, bytes.len());
        }
    }
}
