//! The house rules that a compiler does not check, checked: floors, circles, the engine's purity,
//! the length of files. `floors/rules.rs` holds the table of floors and the reasons.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

#[path = "floors/rules.rs"]
mod rules;
#[path = "floors/scan.rs"]
mod scan;

use std::fs;
use std::path::Path;

use rules::{FLOORS, LINES_MAX, Tree, violations};
use scan::{code, lines_of_code};

fn sources() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut tree = Tree::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                tree.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    tree
}

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let tree = sources();
    assert!(tree.len() > 10, "found only {} sources; is this the right folder?", tree.len());
    let found = violations(&tree);
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_map_in_the_library_agrees_with_the_floors() {
    let tree = sources();
    let rows = tree["lib.rs"].lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut named = Vec::new();
    for row in rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit())) {
        let mut cells = row.split('|').map(str::trim);
        let (floors, modules) = (cells.next().unwrap(), cells.next().unwrap());
        let (low, high) = floors.split_once('-').unwrap_or((floors, floors));
        let range = low.parse::<u8>().unwrap()..=high.parse::<u8>().unwrap();
        for module in modules.split(", ").map(|m| m.trim_matches(['[', ']', '`'])) {
            named.push(module.to_owned());
            for floor in built_floors(&tree, module) {
                assert!(
                    range.contains(&floor),
                    "the map says {floors} for `{module}`, not {floor}"
                );
            }
        }
    }
    for module in scan::declared(&code(&tree["lib.rs"])) {
        assert!(named.contains(&module), "`{module}` is missing in the map of src/lib.rs");
    }
}

/// The floors of a module of the map, or of its children that exist.
fn built_floors(tree: &Tree, module: &str) -> Vec<u8> {
    let exists = |name: &str| tree.contains_key(&format!("{}.rs", name.trim().replace("::", "/")));
    let belongs = |name: &str| name == module || name.starts_with(&format!("{module}::"));
    let rows = FLOORS.iter().filter(|(name, _)| belongs(name) && exists(name));
    rows.map(|(_, floor)| *floor).collect()
}

#[test]
fn floors_only_rise() {
    assert!(FLOORS.is_sorted_by_key(|(_, floor)| *floor), "FLOORS lists lower floors first");
}

/// A small tree of files; each text gets its opening line.
fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), format!("//! For.\n{text}"))).collect()
}

/// The breaches of `files` are as many as `expected`, and contain these words in this order.
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let found = violations(&tree(files));
    assert_eq!(found.len(), expected.len(), "{files:?} gave {found:#?}");
    for (breach, words) in found.iter().zip(expected) {
        assert!(breach.contains(words), "`{breach}` does not say `{words}`");
    }
}

const UNITS: (&str, &str) = ("engine/units.rs", "pub struct Rate;");
const SPEC: (&str, &str) = ("spec.rs", "mod fault;\nmod target;\npub use target::Engine;");

#[test]
fn a_higher_floor_may_not_be_used() {
    let up = "engine/series.rs:2: `engine::series` (floor 2) uses src/spec.rs of `spec` (floor 8)";
    for line in [
        "use crate::spec::Engine;",
        "use crate::{engine::units::Rate, spec::Engine};",
        "fn f() -> crate::spec::Engine { todo() }",
        "pub use super::super::spec::Engine;",
    ] {
        check(&[UNITS, ("engine/series.rs", line), ("spec.rs", "pub enum Engine {}")], &[up]);
    }
    let lines =
        "use crate::engine::{\n    units::Rate,\n    step::{\n        step as tick,\n    },\n};";
    check(
        &[UNITS, ("engine/memory.rs", lines), ("engine/step.rs", "")],
        &["engine/memory.rs:2: `engine::memory` (floor 5) uses src/engine/step.rs"],
    );
}

#[test]
fn lower_floors_and_own_children_may_be_used() {
    check(
        &[
            UNITS,
            ("engine.rs", "pub mod units;"),
            SPEC,
            ("spec/target.rs", "use crate::engine::units::Rate;\nuse crate::spec::fault::Fault;"),
            ("spec/fault.rs", "use std::collections::HashMap;"),
            ("source.rs", "use crate::spec::Engine;\nuse serde::Serialize;"),
            ("main.rs", "fn main() { prescale::cli::main() }"),
            ("cli.rs", "use crate::source::Sources;"),
        ],
        &[],
    );
}

#[test]
fn within_a_floor_the_order_of_the_table_decides() {
    let series = ("engine/series.rs", "");
    check(&[series, ("engine/observation.rs", "use crate::engine::series::Series;")], &[]);
    check(
        &[("engine/series.rs", "use crate::engine::setup::Setup;"), ("engine/setup.rs", "")],
        &["within a floor, only modules listed before it"],
    );
}

#[test]
fn a_child_may_not_import_its_parent() {
    let says = "spec/target.rs:2: imports its parent src/spec.rs";
    for line in ["use crate::spec::Fault;", "use super::Fault;", "type F = super::Fault;"] {
        check(&[("spec.rs", ""), ("spec/target.rs", line)], &[says]);
    }
    check(
        &[("engine.rs", ""), ("engine/units.rs", "use crate::engine::Rate;")],
        &["engine/units.rs:2: imports its parent src/engine.rs"],
    );
}

#[test]
fn imports_may_not_go_round_in_a_circle() {
    check(
        &[
            ("source.rs", "mod a;\nmod b;\nmod c;"),
            ("source/a.rs", "use crate::source::b::B;"),
            ("source/b.rs", "use super::c::C;"),
            ("source/c.rs", "use crate::source::a::A;"),
        ],
        &["source/a.rs -> source/b.rs -> source/c.rs -> source/a.rs"],
    );
}

#[test]
fn a_module_without_a_floor_is_told_where_to_get_one() {
    check(&[("cache.rs", "")], &["module `cache` has no floor; add it to FLOORS"]);
    check(&[("engine/luck.rs", "")], &["module `engine::luck` has no floor"]);
    check(&[("source/retry/after.rs", "")], &[]);
    let once = [("engine/luck.rs", "mod dice;"), ("engine/luck/dice.rs", "")];
    check(&once, &["module `engine::luck` has no floor"]);
    check(&[("engine.rs", "#[cfg(test)]\nmod luck;"), ("engine/luck.rs", "")], &[]);
}

#[test]
fn the_engine_stays_pure() {
    for (line, word) in [
        ("use std::time::{Duration, Instant};", "`Instant`"),
        ("fn f() { let now = std::time::SystemTime::now(); }", "`SystemTime`"),
        ("use std::{fmt, fs};", "`std::fs`"),
        ("use tokio::sync::watch;", "`tokio`"),
        ("fn f() { tracing::info!(\"x\"); }", "`tracing`"),
        ("use std::collections::HashMap;", "`HashMap`"),
        ("fn f() { println!(); }", "`println`"),
        ("use std::net::IpAddr;", "`std::net`"),
        ("fn f() -> u8 { rand::random() }", "`rand`"),
    ] {
        check(&[("engine/step.rs", line)], &[word]);
        check(&[("scaler.rs", line)], &[]);
    }
    for line in [
        "/// Like a HashMap, /* tokio */ but sorted.",
        "const A: &str = \"println HashMap\"; const B: &str = r#\"a \" tokio\"#;",
        "fn quote(c: char) -> bool { c == '\"' } // Instant",
        "fn long<'a>(x: &'a str) -> &'a str { x } /* rand /* nested */ rand */",
        "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n    use super::*;\n}",
        "use std::time::Duration;",
    ] {
        check(&[("engine/step.rs", line)], &[]);
    }
}

#[test]
fn inline_modules_and_test_files_are_understood() {
    let proto = "mod answer;\npub mod proto {\n    include!(\"generated.rs\");\n}";
    let answer = ("grpc/answer.rs", "use crate::grpc::proto::{Reply, Request};");
    check(&[("grpc.rs", proto), answer], &[]);
    let round = "mod answer;\npub mod proto {\n    use super::Shared;\n}\npub struct Shared;";
    check(&[("grpc.rs", round)], &[]);
    check(&[("grpc.rs", round), answer], &["imports go round in a circle"]);
    check(
        &[
            ("spec.rs", "#[cfg(test)]\nmod tests;"),
            ("spec/tests.rs", "use super::*;\nuse crate::cli::run;"),
            ("cli.rs", ""),
        ],
        &[],
    );
}

#[test]
fn form_is_checked() {
    let long = "fn a() {}\n\n// why\n".repeat(LINES_MAX + 1);
    check(&[("clock.rs", &long)], &["401 lines of code, at most 400"]);
    let tested = format!("#[cfg(test)]\nmod tests {{\n{long}}}");
    check(&[("clock.rs", &tested)], &[]);
    check(&[("source/mod.rs", "")], &["no `mod.rs`"]);
    let bare = Tree::from([("clock.rs".to_owned(), "use std::fmt;\n".to_owned())]);
    assert!(violations(&bare)[0].contains("src/clock.rs:1: begin with `//!`"));
}

#[test]
fn only_code_counts_as_lines_of_code() {
    let text = "//! For.\n\n/// Doc.\nfn a() {\n    /* one\n    two */\n    b(\"x\n// y\");\n}\n";
    assert_eq!(lines_of_code(text), 4, "{}", code(text));
}
