//! The command itself, as it can be given again.

use std::ffi::OsString;

/// Flags that change where the result goes and not what it is.
const ELSEWHERE: [&str; 5] = ["--html", "--format", "--output", "-o", "--threads"];

/// The command that gives the same result again, for a shell; empty where it holds a password.
pub(super) fn command(words: impl Iterator<Item = OsString>) -> String {
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    let mut shown = vec!["prescale".to_owned()];
    while let Some(word) = words.next() {
        let flag = word.split_once('=').map_or(word.as_str(), |(flag, _)| flag);
        let short = word.starts_with("-o") && !word.starts_with("--");
        if ELSEWHERE.contains(&flag) || short {
            // Its value is the next word, unless it is part of this one.
            if word == flag && !(short && word.len() > 2) {
                words.next();
            }
            continue;
        }
        if word.contains("://") && word.contains('@') {
            return String::new();
        }
        shown.push(quoted(word));
    }
    shown.join(" ")
}

/// One word for a POSIX shell.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_command_is_told_without_what_changes_no_result() {
        let rows: [(&[&str], &str); 6] = [
            (&["backtest", "--trace", "a b.csv"], "prescale backtest --trace 'a b.csv'"),
            (
                &["backtest", "--html", "x.html", "--sweep", "-o", "json", "-ojson", "--threads=2"],
                "prescale backtest --sweep",
            ),
            (&["backtest", "--format", "json", "--seeds", "3"], "prescale backtest --seeds 3"),
            (
                &["backtest", "--query", "sum(x{a='b'})"],
                "prescale backtest --query 'sum(x{a='\\''b'\\''})'",
            ),
            (&["backtest", "--prometheus-url", "http://u:p@h"], ""),
            (&["backtest", "--slo-target", "99%"], "prescale backtest --slo-target 99%"),
        ];
        for (words, expected) in rows {
            assert_eq!(command(words.iter().map(Into::into)), expected, "{words:?}");
        }
    }
}
