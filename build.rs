//! Generates the gRPC types from KEDA's protocol file, without a system `protoc`.
//!
//! Maps become `BTreeMap`: the metadata is hashed, and equal maps must hash equally.

use std::path::Path;

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = "proto/externalscaler.proto";
    println!("cargo::rerun-if-changed={file}");
    let descriptors = protox::compile([file], ["proto"])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("externalscaler.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
