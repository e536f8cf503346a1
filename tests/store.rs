//! What survives: kills at any moment, bits that fall over, files of somebody else, restarts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/backend.rs"]
mod backend;
#[path = "store/made.rs"]
mod made;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/program.rs"]
mod program;

#[path = "store/files.rs"]
mod files;
#[path = "store/flips.rs"]
mod flips;
#[path = "store/kept.rs"]
mod kept;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/many.rs"]
mod many;
#[path = "store/process.rs"]
mod process;
#[path = "store/renewed.rs"]
mod renewed;
#[path = "store/restart.rs"]
mod restart;
#[path = "store/world.rs"]
mod world;
