//! Reads Rust text far enough to know its imports and its size; no parser, no dependency.
//!
//! Given the text of a file, [`code`] returns it with comments, string contents and test modules
//! blanked out (line numbers stay), [`paths`] the paths it names. Macros are not expanded.

/// `text` with comments blanked, string and character contents replaced by `_`, and everything
/// inside `#[cfg(test)] mod ... { }` blanked. Lines keep their numbers.
pub(crate) fn code(text: &str) -> String {
    without_tests(&without_comments(text))
}

/// Lines of [`code`] that are not blank.
pub(crate) fn lines_of_code(text: &str) -> usize {
    code(text).lines().filter(|line| !line.trim().is_empty()).count()
}

fn without_comments(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, fill) = token(&chars, at);
        match fill {
            None => out.push(chars[at]),
            Some(fill) => {
                out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { fill }));
            }
        }
        at = end;
    }
    out
}

/// The end of the token at `at`, and what to fill it with; `None` keeps the one character.
fn token(chars: &[char], at: usize) -> (usize, Option<char>) {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => (at + until(rest, |r| r[0] == '\n'), Some(' ')),
        ['/', '*', ..] => (at + block_comment(rest), Some(' ')),
        ['"', ..] => (at + quoted(rest), Some('_')),
        ['r', '"' | '#', ..] if !at.checked_sub(1).is_some_and(|i| is_word(chars[i])) => {
            raw_string(rest).map_or((at + 1, None), |length| (at + length, Some('_')))
        }
        ['\'', '\\', ..] => (at + 3 + until(&rest[3..], |r| r[0] == '\'') + 1, Some('_')),
        ['\'', _, '\'', ..] => (at + 3, Some('_')),
        _ => (at + 1, None),
    }
}

fn until(rest: &[char], stop: impl Fn(&[char]) -> bool) -> usize {
    (0..rest.len()).find(|i| stop(&rest[*i..])).unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = until(&rest[1..], |r| r[0] != '#');
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let body = &rest[2 + hashes..];
    let end =
        until(body, |r| r[0] == '"' && r.len() > hashes && r[1..=hashes].iter().all(|c| *c == '#'));
    Some((2 + hashes + end + 1 + hashes).min(rest.len()))
}

fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = item_end(&out, start);
        let blank: String =
            out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// The end of the item that begins at `start`: its closing brace, or its semicolon.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let closed = (c == '}' || c == ';') && depth == 0;
        if closed {
            return start + offset + 1;
        }
    }
    code.len()
}

/// One path named in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// Its segments, `crate`, `self` and `super` included; a glob ends in `*`.
    pub(crate) segments: Vec<String>,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

/// Every path of two or more segments in [`code`], the branches of `use a::{b, c::d}` written out;
/// with each the inline modules around it.
pub(crate) fn paths(code: &str) -> Vec<(Path, Vec<String>)> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let (mut at, mut line) = (0, 1);
    while let Some(c) = code[at..].chars().next() {
        let mut next = at + c.len_utf8();
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                inline.retain(|(_, at_depth)| *at_depth <= depth);
            }
            _ if is_word(c) => {
                let mut leaves = Vec::new();
                next = tree(code, at, &[], &mut leaves);
                let around: Vec<String> = inline.iter().map(|(name, _)| name.clone()).collect();
                let long = leaves.into_iter().filter(|segments| segments.len() > 1);
                found.extend(long.map(|segments| (Path { segments, line }, around.clone())));
                if word(code, at) == "mod" {
                    let name = word(code, skip_space(code, next));
                    let after = skip_space(code, skip_space(code, next) + name.len());
                    if code[after..].starts_with('{') {
                        inline.push((name.to_owned(), depth + 1));
                    }
                }
            }
            _ => {}
        }
        line += code[at..next].matches('\n').count();
        at = next;
    }
    found
}

/// Reads one path or tree of paths at `at`, adds its leaves, returns where it ends.
fn tree(code: &str, at: usize, before: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let mut segments = before.to_vec();
    let mut at = at;
    loop {
        if code[at..].starts_with('{') {
            return branches(code, at + 1, &segments, leaves);
        }
        let segment = if code[at..].starts_with('*') { "*" } else { word(code, at) };
        segments.push(segment.to_owned());
        at += segment.len();
        let after = skip_space(code, at);
        if segment.is_empty() || !code[after..].starts_with("::") {
            leaves.push(segments);
            return at;
        }
        let next = skip_space(code, after + 2);
        // `collect::<Vec<_>>`: the path ends before its generic arguments.
        if code[next..].starts_with('<') {
            leaves.push(segments);
            return next;
        }
        at = next;
    }
}

fn branches(code: &str, at: usize, before: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let mut at = skip_space(code, at);
    while at < code.len() && !code[at..].starts_with('}') {
        let begins = code[at..].starts_with(|c| is_word(c) || c == '*' || c == '{');
        if begins && word(code, at) == "as" {
            at = skip_space(code, at + 2);
            at += word(code, at).len();
        } else if begins {
            at = tree(code, at, before, leaves);
        } else {
            at += code[at..].chars().next().map_or(1, char::len_utf8);
        }
        at = skip_space(code, at);
    }
    (at + 1).min(code.len())
}

/// The modules written out in [`code`] with a body, at its top level.
pub(crate) fn inline_modules(code: &str) -> Vec<Vec<String>> {
    let headers = code.lines().filter(|line| line.ends_with('{')).map(without_visibility);
    headers
        .filter_map(|line| line.strip_prefix("mod "))
        .map(|rest| vec![rest.trim_end_matches('{').trim().to_owned()])
        .collect()
}

fn without_visibility(line: &str) -> &str {
    line.trim_end().trim_start_matches("pub(crate) ").trim_start_matches("pub ")
}

/// The names of the files' modules declared by `mod name;`.
pub(crate) fn declared(code: &str) -> Vec<String> {
    code.lines()
        .map(without_visibility)
        .filter_map(|line| line.strip_prefix("mod "))
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn word(code: &str, at: usize) -> &str {
    let length = code[at..].find(|c| !is_word(c)).unwrap_or(code.len() - at);
    &code[at..at + length]
}

fn skip_space(code: &str, at: usize) -> usize {
    at + code[at..].find(|c: char| !c.is_whitespace()).unwrap_or(code.len() - at)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
