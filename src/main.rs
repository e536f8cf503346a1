//! The `prescale` command.

fn main() {}
