//! What every page that opens without a network is made of: a template, a policy, tables.
//!
//! Given texts that are escaped already, [`fill`] promises to look at none of them again; [`policy`]
//! forbids a browser every request, and every script and style but those named.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::report::line::escape;

/// Puts texts into the `{{name}}` of a template, in one pass: what is put in is not looked at again.
pub(super) fn fill(template: &str, slot: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page += &slot(name);
        page += rest;
    }
    page
}

/// Nothing may be fetched or sent, and only these scripts and this style, known by their digests, act.
/// uPlot sets single properties of elements, which such a policy allows.
pub(super) fn policy(scripts: &[&str], style: &str) -> String {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let scripts: Vec<String> = scripts.iter().map(|script| digest(script)).collect();
    let scripts = if scripts.is_empty() { "'none'".to_owned() } else { scripts.join(" ") };
    format!(
        "default-src 'none'; script-src {scripts}; style-src {}; base-uri 'none'; form-action 'none'",
        digest(style)
    )
}

/// A table; the marked rows are the best.
pub(super) fn grid<'a>(
    caption: &str,
    heads: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = (String, Vec<String>, bool)>,
) -> String {
    let heads: String =
        heads.map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect();
    let mut text = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\n\
         <caption>{0}</caption><thead><tr>{heads}</tr></thead>\n<tbody>\n",
        escape(caption)
    );
    for (name, cells, marked) in rows {
        let (class, mark) = if marked { (" class=\"best\"", " *") } else { ("", "") };
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        let name = escape(&name);
        let _ = writeln!(text, "<tr{class}><th scope=\"row\">{name}{mark}</th>{cells}</tr>");
    }
    text + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::{fill, policy};

    #[test]
    fn what_is_put_into_a_template_is_not_a_template() {
        let filled = fill("a {{x}} b {{y}} c", |name| format!("<{name} {{{{x}}}}>"));
        assert_eq!(filled, "a <x {{x}}> b <y {{x}}> c");
    }

    #[test]
    fn a_page_without_scripts_runs_none() {
        assert!(policy(&[], "p {}").contains("script-src 'none'; style-src 'sha256-"));
        assert!(policy(&["1;", "2;"], "").matches("'sha256-").count() == 3);
    }
}
