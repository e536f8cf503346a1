//! `docs/safety.md` names tests: each has to be there, and each row has to name one.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether `file` has a test called `name`: a function of that name below a test attribute, or
/// within a block of properties, where the attribute may be further above.
fn has_test(file: &str, name: &str) -> bool {
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let begins = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().any(|(idx, line)| {
        begins.iter().any(|begin| line.starts_with(begin.as_str()))
            && lines[idx.saturating_sub(3)..idx]
                .iter()
                .any(|above| above.starts_with("#[test]") || above.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_test_that_the_page_names_exists_and_every_row_names_one() {
    let page = read("docs/safety.md");
    let mut rows = BTreeSet::new();
    let tables = page.split("## Faults").nth(1).unwrap();
    for row in tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| # ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, required, tests] = cells.as_slice() else { panic!("{row}") };
        assert!(!required.is_empty(), "{row}");
        rows.insert((*number).to_owned());
        let named: Vec<&str> = tests.split('`').filter(|text| text.contains("::")).collect();
        assert!(!named.is_empty(), "{row}");
        for test in named {
            let (file, name) = test.rsplit_once("::").unwrap();
            assert!(has_test(&read(file), name), "{test} does not exist");
        }
    }
    let wanted = (1..=12).map(|number| format!("F{number}")).chain(
        [2, 3, 4, 5, 6, 9, 10, 11, 16, 17, 18, 20, 21, 22, 23, 24]
            .map(|number| format!("T{number}")),
    );
    for row in wanted {
        assert!(rows.contains(&row), "{row} is not on the page");
    }
}

#[test]
fn a_function_without_its_attribute_is_no_test() {
    let rows = [
        ("#[test]\nfn a() {", true),
        ("#[tokio::test(flavor = \"multi_thread\")]\nasync fn a() {", true),
        ("fn a() {", false),
        ("#[test]\nfn a_b() {", false),
        ("// fn a() {", false),
    ];
    for (file, expected) in rows {
        assert_eq!(has_test(file, "a"), expected, "{file}");
    }
}
