//! Types generated from `proto/externalscaler.proto`, client and server.

tonic::include_proto!("externalscaler");

/// The compiled descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/externalscaler.bin"));
