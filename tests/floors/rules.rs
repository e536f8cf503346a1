//! The rules of the house: who may use whom, what the engine may not touch, how long a file may be.
//!
//! Given a tree of sources (path below `src/` to text), [`violations`] returns one sentence per
//! breach, naming file and line. The floor table is data; a new module without a floor is a breach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::scan::{code, declared, inline_modules, lines_of_code, paths};

/// Path below `src/`, such as `engine/units.rs`, to its text.
pub(crate) type Tree = BTreeMap<String, String>;

/// Module and floor, lowest first. A module uses lower floors only; within one floor, those listed
/// before it. Children share the floor of their module.
pub(crate) const FLOORS: &[(&str, u8)] = &[
    ("engine::units", 1),
    ("engine::numeric", 1),
    ("engine::rough", 1),
    ("engine::series", 2),
    ("engine::arrived", 2),
    ("engine::observation", 2),
    ("engine::histogram", 2),
    // The setup holds it: what the user asked for by the calendar.
    ("engine::calendar", 2),
    ("engine::time_of_day", 2),
    ("engine::setup", 2),
    // The decision is data, and what demand says of itself is part of it; `decide` takes it.
    ("engine::decision", 2),
    ("engine::signals", 2),
    ("engine::cold_start", 3),
    ("engine::capacity", 3),
    ("engine::demand", 3),
    ("engine::forecast", 4),
    ("engine::foresight", 4),
    ("engine::memory", 5),
    ("engine::decide", 5),
    ("engine::invariants", 6),
    ("engine::step", 6),
    ("engine::replay", 7),
    ("engine::score", 7),
    ("spec", 8),
    ("report", 8),
    ("clock", 9),
    ("telemetry", 9),
    ("source", 10),
    ("store", 10),
    ("scaler", 11),
    ("grpc", 12),
    ("http", 12),
    ("server", 13),
    ("gate", 13),
    ("backtest", 14),
    ("score", 14),
    ("demo", 14),
    ("cli", 15),
    ("main", 16),
];

/// Modules that are only a house for others: each of their children has a floor of its own.
const HOUSES: &[&str] = &["engine"];

/// More than this and a file has become two thoughts.
pub(crate) const LINES_MAX: usize = 400;

/// Words that make the engine impure, and why.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("SystemTime", "the engine is given `now`"),
    ("Instant", "the engine is given `now`"),
    ("tokio", "the engine does not wait"),
    ("async", "the engine does not wait"),
    ("await", "the engine does not wait"),
    ("tracing", "the engine does not log, it returns reasons"),
    ("rand", "equal inputs give equal bytes"),
    ("HashMap", "iteration order is random: use BTreeMap"),
    ("HashSet", "iteration order is random: use BTreeSet"),
    ("println", "the engine does not print, it returns reasons"),
    ("eprintln", "the engine does not print, it returns reasons"),
    ("dbg", "the engine does not print, it returns reasons"),
];

/// Parts of `std` that reach the outside world.
const IMPURE_STD: &[&str] = &["fs", "net", "env", "io", "os", "process", "thread"];

/// Everything in `tree` that breaks a rule.
pub(crate) fn violations(tree: &Tree) -> Vec<String> {
    let sources: Vec<Source> =
        tree.iter().map(|(path, text)| Source::read(path, text, tree)).collect();
    let modules: BTreeSet<Vec<String>> = sources.iter().flat_map(Source::modules).collect();
    let mut found = Vec::new();
    for source in &sources {
        found.extend(form(source, &tree[&source.path]));
        found.extend(floorless(source));
        found.extend(purity(source));
        found.extend(imports(source, &modules).filter_map(|import| import.breach(source)));
    }
    found.extend(circles(&sources, &modules));
    let mut told = BTreeSet::new();
    found.retain(|breach| told.insert(breach.clone()));
    found
}

/// One file as the rules see it.
struct Source {
    path: String,
    module: Vec<String>,
    code: String,
    declared: Vec<String>,
    is_test: bool,
}

impl Source {
    fn read(path: &str, text: &str, tree: &Tree) -> Self {
        let module = module_of(path);
        let is_test = is_test_file(&module, tree);
        let code = if is_test { String::new() } else { code(text) };
        Self { path: path.to_owned(), module, declared: declared(&code), code, is_test }
    }

    /// The file's module, and the modules written out inside it: they may be imported like files.
    fn modules(&self) -> Vec<Vec<String>> {
        let inside = paths(&self.code).into_iter().map(|(_, inline)| inline);
        let inside: BTreeSet<Vec<String>> = inside.chain(inline_modules(&self.code)).collect();
        let whole = inside.into_iter().map(|inline| [&self.module[..], &inline].concat());
        std::iter::once(self.module.clone()).chain(whole).collect()
    }
}

fn module_of(path: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

fn file_of(module: &[String]) -> String {
    if module.is_empty() { "lib.rs".to_owned() } else { format!("{}.rs", module.join("/")) }
}

/// A file that its parent declares under `#[cfg(test)]`: rules for imports do not bind it.
fn is_test_file(module: &[String], tree: &Tree) -> bool {
    let Some((name, parent)) = module.split_last() else { return false };
    let text = tree.get(&file_of(parent)).map_or("", String::as_str);
    text.contains(&format!("mod {name};")) && !declared(&code(text)).contains(name)
}

fn form(source: &Source, text: &str) -> Vec<String> {
    let Source { path, .. } = source;
    let mut found = Vec::new();
    if path.ends_with("mod.rs") {
        found.push(format!("src/{path}: no `mod.rs`; use `name.rs` beside `name/`"));
    }
    if !text.starts_with("//!") {
        found.push(format!(
            "src/{path}:1: begin with `//!`: what it is for, is given, promises, leaves to others"
        ));
    }
    let lines = lines_of_code(text);
    if lines > LINES_MAX {
        found.push(format!(
            "src/{path}: {lines} lines of code, at most {LINES_MAX}; split it by concept"
        ));
    }
    found
}

/// Told once, by the file that would need the floor, not by its children.
fn floorless(source: &Source) -> Option<String> {
    let module = source.module.join("::");
    let (_, outer) = source.module.split_last()?;
    let is_told = !outer.is_empty() && position(outer).is_none();
    (!source.is_test && !is_told && position(&source.module).is_none()).then(|| {
        format!(
            "src/{}: module `{module}` has no floor; add it to FLOORS in tests/floors/rules.rs, \
             above all that it uses, and to the map in src/lib.rs",
            source.path
        )
    })
}

/// Where a module stands in [`FLOORS`]; a house stands with its highest child.
fn position(module: &[String]) -> Option<usize> {
    let name = module.join("::");
    if HOUSES.contains(&name.as_str()) {
        return FLOORS.iter().rposition(|(floor, _)| is_below(floor, &name));
    }
    FLOORS.iter().position(|(floor, _)| *floor == name || is_below(&name, floor))
}

/// Whether module `name` lies inside module `outer`.
fn is_below(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

fn purity(source: &Source) -> Vec<String> {
    if source.module.first().is_none_or(|first| first != "engine") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, text) in source.code.lines().enumerate() {
        let words: BTreeSet<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let impure = IMPURE_WORDS.iter().filter(|(word, _)| words.contains(word));
        found.extend(impure.map(|(word, why)| {
            format!("src/{}:{}: `{word}` in the engine; {why}", source.path, line + 1)
        }));
    }
    for (path, _) in paths(&source.code) {
        if path.segments[0] == "std" && IMPURE_STD.contains(&path.segments[1].as_str()) {
            found.push(format!(
                "src/{}:{}: `std::{}` in the engine; it reaches nothing outside itself",
                source.path, path.line, path.segments[1]
            ));
        }
    }
    found
}

/// One use of another module of this crate.
struct Import {
    from: Vec<String>,
    to: Vec<String>,
    line: usize,
}

/// What `source` imports from other modules, by path; declared children not counted.
fn imports<'a>(
    source: &'a Source,
    modules: &'a BTreeSet<Vec<String>>,
) -> impl Iterator<Item = Import> + 'a {
    paths(&source.code).into_iter().filter_map(|(path, inline)| {
        let full = absolute(source, &path.segments, &inline)?;
        let to = (0..=full.len()).rev().map(|n| &full[..n]).find(|m| modules.contains(*m))?;
        let from = [&source.module[..], &inline].concat();
        (to != from).then(|| Import { from, to: to.to_vec(), line: path.line })
    })
}

/// A path from the crate's root; `None` for paths into other crates.
fn absolute(source: &Source, segments: &[String], inline: &[String]) -> Option<Vec<String>> {
    let here = || [&source.module[..], inline].concat();
    let own_library = source.path == "main.rs" && segments[0] == "prescale";
    match segments[0].as_str() {
        "crate" => Some(segments[1..].to_vec()),
        _ if own_library => Some(segments[1..].to_vec()),
        "self" => Some([&here()[..], &segments[1..]].concat()),
        "super" => {
            let ups = segments.iter().take_while(|s| *s == "super").count();
            let mut base = here();
            base.truncate(base.len().saturating_sub(ups));
            Some([&base[..], &segments[ups..]].concat())
        }
        first if source.declared.iter().any(|child| child == first) => {
            Some([&source.module[..], segments].concat())
        }
        _ => None,
    }
}

impl Import {
    /// What is wrong with this import, if anything.
    fn breach(&self, source: &Source) -> Option<String> {
        let at = format!("src/{}:{}", source.path, self.line);
        let to = file_of(&self.to);
        if is_outer(&self.to, &source.module) && source.path != "main.rs" {
            return Some(format!(
                "{at}: imports its parent src/{to}; a child never does: move what both need into a \
                 sibling below"
            ));
        }
        let is_child = self.to.starts_with(&source.module);
        let (from, target) = (position(&source.module)?, position(&self.to)?);
        if is_child || target <= from {
            return None;
        }
        let ((name, floor), (used, used_floor)) = (FLOORS[from], FLOORS[target]);
        let rule = if floor == used_floor {
            "within a floor, only modules listed before it in FLOORS may be used"
        } else {
            "a module uses lower floors only"
        };
        Some(format!(
            "{at}: `{name}` (floor {floor}) uses src/{to} of `{used}` (floor {used_floor}); {rule}"
        ))
    }
}

/// Whether module `outer` has `inner` somewhere inside.
fn is_outer(outer: &[String], inner: &[String]) -> bool {
    outer.len() < inner.len() && inner.starts_with(outer)
}

/// Circles of imports, each told once. A module counts as using the children that it declares; a
/// child that imports its parent is a breach of its own and no circle besides.
fn circles(sources: &[Source], modules: &BTreeSet<Vec<String>>) -> Vec<String> {
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (from, to) in sources.iter().flat_map(|source| uses(source, modules)) {
        edges.entry(from).or_default().insert(to);
    }
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for start in sources.iter().filter(|s| !s.module.is_empty()) {
        let Some(circle) = way_back(&start.module, &edges) else { continue };
        let files: BTreeSet<String> = circle.iter().map(|module| file_of(module)).collect();
        if told.insert(files) {
            let names: Vec<String> = circle.iter().map(|module| file_of(module)).collect();
            found.push(format!(
                "src/{}: imports go round in a circle: {}; move what they share below both",
                start.path,
                names.join(" -> ")
            ));
        }
    }
    found
}

fn uses(source: &Source, modules: &BTreeSet<Vec<String>>) -> Vec<(Vec<String>, Vec<String>)> {
    let children = source.declared.iter().map(|name| {
        let child = [&source.module[..], std::slice::from_ref(name)].concat();
        (source.module.clone(), child)
    });
    imports(source, modules)
        .map(|import| (import.from, import.to))
        .filter(|(_, to)| !is_outer(to, &source.module))
        .chain(children)
        .collect()
}

/// The shortest way from `start` back to itself, both ends included.
fn way_back(
    start: &[String],
    edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
) -> Option<Vec<Vec<String>>> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([vec![start.to_vec()]]);
    while let Some(way) = open.pop_front() {
        for next in edges.get(&way[way.len() - 1]).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                open.push_back(longer);
            }
        }
    }
    None
}
