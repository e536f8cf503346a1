//! KEDA's protocol: answers read the latest decision and nothing else.

/// Types generated from `proto/externalscaler.proto`.
#[expect(missing_docs, clippy::all, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("externalscaler");

    /// The compiled descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/externalscaler.bin"));
}
