//! A checksum over each row and the names it belongs to.
//!
//! `SQLite` checks the pages of its log and not those of its file: a bit that fell over in a value
//! reads as another value. What does not match its seal is not there. CRC-32 finds every error of up to
//! 32 bits in a row, which is what disks do; it is no protection against somebody who writes.

use flate2::Crc;

use crate::engine::arrived::Minute;
use crate::store::key::{Identity, Key};

/// Of an identity: the base of all its rows' seals.
pub(super) fn identity(identity: &Identity) -> u32 {
    let mut crc = Crc::new();
    for part in identity.parts() {
        text(&mut crc, part);
    }
    crc.sum()
}

/// Of a state row.
pub(super) fn state(key: &Key, at: i64, memory: &[u8], decision: &[u8]) -> i64 {
    let mut crc = Crc::new();
    crc.update(&identity(&key.identity).to_be_bytes());
    text(&mut crc, &key.trigger);
    crc.update(&at.to_be_bytes());
    for bytes in [memory, decision] {
        length(&mut crc, bytes.len());
        crc.update(bytes);
    }
    i64::from(crc.sum())
}

/// Of a minute of the identity sealed as `base`.
pub(super) fn minute(base: u32, minute: &Minute) -> i64 {
    let Minute { at, requests, work, replicas } = minute;
    let mut bytes = [0; 39];
    let (head, values) = bytes.split_at_mut(12);
    let base = base.to_be_bytes();
    let at = at.unix_ms().to_be_bytes();
    for (place, byte) in head.iter_mut().zip(base.into_iter().chain(at)) {
        *place = byte;
    }
    for (place, value) in values.chunks_mut(9).zip([requests, work, replicas]) {
        let known = [u8::from(value.is_some())];
        let value = value.unwrap_or_default().to_be_bytes();
        for (place, byte) in place.iter_mut().zip(known.into_iter().chain(value)) {
            *place = byte;
        }
    }
    let mut crc = Crc::new();
    crc.update(&bytes);
    i64::from(crc.sum())
}

/// Of the back-fill cursor of the identity sealed as `base`.
pub(super) fn cursor(base: u32, until: i64) -> i64 {
    let mut crc = Crc::new();
    crc.update(&base.to_be_bytes());
    crc.update(&until.to_be_bytes());
    i64::from(crc.sum())
}

/// Lengths go before the bytes, so that no two rows run together into the same input.
fn text(crc: &mut Crc, text: &str) {
    length(crc, text.len());
    crc.update(text.as_bytes());
}

fn length(crc: &mut Crc, length: usize) {
    crc.update(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::{minute, state};
    use crate::engine::arrived::Minute;
    use crate::engine::units::Timestamp;
    use crate::store::key::{Identity, Key};

    #[test]
    fn every_part_of_a_row_is_under_its_seal() {
        let key = |namespace: &str, trigger: &str| Key {
            identity: Identity {
                namespace: namespace.to_owned(),
                name: "llama".to_owned(),
                workload: String::new(),
                engine: "vllm".to_owned(),
            },
            trigger: trigger.to_owned(),
        };
        let rows = [
            state(&key("a", "t"), 1, b"m", b"d"),
            state(&key("b", "t"), 1, b"m", b"d"),
            state(&key("a", "u"), 1, b"m", b"d"),
            state(&key("a", "t"), 2, b"m", b"d"),
            state(&key("a", "t"), 1, b"md", b""),
            state(&key("a", "t"), 1, b"n", b"d"),
        ];
        let known = |at, requests, work| Minute {
            requests,
            work,
            ..Minute::unknown(Timestamp::from_unix_ms(at))
        };
        let minutes = [
            minute(1, &known(60_000, Some(0.0), None)),
            minute(2, &known(60_000, Some(0.0), None)),
            minute(1, &known(0, Some(0.0), None)),
            minute(1, &known(60_000, None, Some(0.0))),
            minute(1, &known(60_000, None, None)),
        ];
        for seals in [&rows[..], &minutes[..]] {
            for (idx, seal) in seals.iter().enumerate() {
                assert!(!seals[..idx].contains(seal), "row {idx}");
            }
        }
    }
}
