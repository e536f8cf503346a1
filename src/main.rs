//! The `prescale` command.

use std::process::ExitCode;

/// Each scaler's forecaster is copied when it learns, once a minute. The system's allocator, with an arena
/// for each thread, ends up holding that twice: 3.1 GiB for 10 000 scalers (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    prescale::cli::run()
}
