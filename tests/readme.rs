//! The README keeps step with the code: its table of keys is the parser's, its links lead somewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the README has failed")]

use std::fmt::Write as _;
use std::path::Path;

use prescale::cli::check::{Level, Report, check_text};
use prescale::spec::keys;

const BEGIN: &str = "<!-- keys: written by tests/readme.rs -->\n";
const END: &str = "<!-- end of keys -->";

/// The table as the README has it: the complete meaning and what is accepted are in the reference.
fn table() -> String {
    let mut table = "| key | meaning | default |\n|---|---|---|\n".to_owned();
    for key in keys() {
        writeln!(table, "| `{}` | {} | {} |", key.name, key.meaning, key.default).unwrap();
    }
    table
}

#[test]
fn the_table_of_keys_is_the_parsers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README marks its table of keys");
    let (current, after) = rest.split_once(END).expect("the README marks the table's end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(current, table(), "run UPDATE_GOLDEN=1 cargo test --test readme");
    }
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    for page in
        pages.map(str::to_owned).into_iter().chain(docs.filter(|name| name.ends_with(".md")))
    {
        let text = std::fs::read_to_string(root.join(&page)).unwrap();
        let folder = root.join(&page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://");
            assert!(elsewhere || folder.join(file).exists(), "{page} links to {target}");
        }
    }
}

#[test]
fn the_scaled_object_shown_first_is_without_fault() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.contains("kind: ScaledObject"))
        .collect();
    assert!(!blocks.is_empty(), "the README shows a ScaledObject");
    let mut report = Report::default();
    for block in blocks {
        check_text("README.md", block, &mut report);
    }
    let bad = report.count(Level::Error) + report.count(Level::Warning);
    assert_eq!((bad, report.unreadable), (0, 0), "{:?}", report.findings);
}
