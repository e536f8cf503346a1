//! State as bytes, to be kept outside and taken up again.
//!
//! The layout is a version, a checksum, and the fields in their order as postcard writes them; what
//! comes back is the same bit for bit. Whatever is not such bytes is refused, never taken for state: a
//! forecaster is rebuilt from samples in less than a second, so no older version is read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Of the layout; to be raised with every change of a field.
const VERSION: u8 = 3;
/// Bytes of the digest that are kept: enough against chance, and nobody is kept out by it.
const CHECKSUM: usize = 8;

/// Why bytes are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StateError {
    /// They were written by another version.
    #[error("forecast state of version {0}, this is version {VERSION}")]
    Version(u8),
    /// They were cut off or changed.
    #[error("damaged forecast state")]
    Damaged,
}

/// `state` as bytes.
pub(super) fn write(state: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "numbers and lists of numbers always have a layout")]
    let body = postcard::to_stdvec(state).expect("a forecaster is made of numbers");
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&checksum(&body));
    bytes.extend_from_slice(&body);
    bytes
}

/// The state in `bytes`.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    let (version, rest) = bytes.split_first().ok_or(StateError::Damaged)?;
    if *version != VERSION {
        return Err(StateError::Version(*version));
    }
    let (sum, body) = rest.split_at_checked(CHECKSUM).ok_or(StateError::Damaged)?;
    if sum != checksum(body) {
        return Err(StateError::Damaged);
    }
    postcard::from_bytes(body).map_err(|_| StateError::Damaged)
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&Sha256::digest(body)[..CHECKSUM]);
    sum
}
