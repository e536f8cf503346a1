//! The parts of the page that need no script: figures, tables, sources.
//!
//! Given a [`Backtest`], promises fragments of HTML in which every string from outside is one line,
//! escaped. Their order on the page is left to the template.

use std::fmt::Write;

use crate::report::backtest::columns::COLUMNS;
use crate::report::backtest::data::{Backtest, Entry};
use crate::report::backtest::figures::{all, best, sweep_front};
use crate::report::backtest::money::Saving;
use crate::report::backtest::table;
use crate::report::backtest::words::{measured, number, percent, setting, share, time};
use crate::report::line::{escape, one_line};
use crate::report::page::grid;

/// A string from outside.
fn line(text: &str) -> String {
    escape(&one_line(text))
}

/// The money first.
pub(super) fn hero(backtest: &Backtest) -> String {
    let Some(saving) = Saving::of(backtest) else {
        return "<p>Nothing was measured.</p>".to_owned();
    };
    let mut cards = Vec::new();
    let length = time(backtest.trace.seconds);
    let month = |what: &str| format!("{what}, 30 days extrapolated from {length}");
    if let (Some((base, _)), Some(less)) = (&saving.base, saving.less()) {
        let word = if less < 0.0 { "more" } else { "fewer" };
        let value = format!("{}%", number(less.abs() * 100.0, 1));
        cards.push((value, format!("{word} GPU-hours than {}", one_line(&base.name)), ""));
    }
    let word = |value: f64| if value < 0.0 { "more" } else { "saved" };
    if let Some(cost) = saving.cost_of_month() {
        cards.push((number(cost.abs(), 0), month(&format!("money {}", word(cost))), ""));
    } else if let Some(hours) = saving.hours_of_month() {
        cards.push((number(hours.abs(), 0), month(&format!("GPU-hours {}", word(hours))), ""));
    }
    if let Some(attained) = saving.figures.slo_attainment {
        let class = if saving.attains { "good" } else { "bad" };
        let value = format!("{}%", percent(attained.mean));
        let target = share(backtest.world.slo_target);
        cards.push((value, format!("of the requests met both objectives; aim {target}"), class));
    }
    if let Some(hours) = saving.figures.gpu_hours {
        let name = one_line(&saving.entry.name);
        let cost = saving.figures.cost.map(|cost| format!(", {} in money", measured(cost.mean)));
        let told = format!("GPU-hours with {name}{}", cost.unwrap_or_default());
        cards.push((measured(hours.mean), told, ""));
    }
    let mut text = String::from("<ul class=\"cards\">\n");
    for (value, told, class) in cards {
        let _ = writeln!(
            text,
            "<li class=\"{class}\"><b>{}</b> <span>{}</span></li>",
            escape(&value),
            escape(&told)
        );
    }
    let sentence = line(&saving.sentence(backtest));
    let _ = write!(text, "</ul>\n<p>{sentence}</p>");
    text
}

/// Trace, world and objectives.
pub(super) fn facts(backtest: &Backtest) -> String {
    let mut text = String::from("<dl class=\"facts\">\n");
    for (label, fact) in table::header(backtest) {
        let _ = writeln!(text, "<dt>{}</dt><dd>{}</dd>", escape(label), escape(&fact));
    }
    text + "</dl>"
}

/// What to change.
pub(super) fn change(backtest: &Backtest) -> String {
    if backtest.advice.is_empty() {
        return String::new();
    }
    let items = backtest.advice.iter().map(|sentence| format!("<li>{}</li>\n", line(sentence)));
    let items: String = items.collect();
    format!("<section id=\"change\"><h2>What to change</h2>\n<ul>\n{items}</ul></section>")
}

/// The table of policies with every column, and what they mean.
pub(super) fn policies(backtest: &Backtest) -> String {
    let (rows, best) = (all(backtest), best(backtest));
    let has_cost = rows.iter().any(|row| row.cost.is_some());
    let columns: Vec<_> =
        COLUMNS.iter().filter(|column| has_cost || column.title != "cost").collect();
    let heads = columns.iter().map(|column| column.title);
    let body = backtest.policies.iter().zip(&rows).enumerate().map(|(idx, (entry, figures))| {
        let is_best = best == Some(idx);
        let cells = columns.iter().map(|column| (column.cell)(figures, true)).collect();
        (one_line(&entry.name), cells, is_best)
    });
    let keys = columns.iter().map(|column| {
        format!("<dt>{}</dt><dd>{}</dd>", escape(column.title), escape(column.meaning))
    });
    format!(
        "{}<p class=\"note\">* best trade-off: the cheapest that attains the target, else the one \
         that comes nearest.</p>\n\
         <details><summary>Columns</summary><dl class=\"facts\">{}</dl></details>",
        grid(
            if backtest.world.seeds == 1 {
                "Of one seed"
            } else {
                "Means over the seeds ± sample standard deviation"
            },
            ["policy"].into_iter().chain(heads),
            body
        ),
        keys.collect::<String>()
    )
}

/// Policies compared where they are equally good; nothing without a sweep.
pub(super) fn needs(backtest: &Backtest) -> String {
    if backtest.sweep.is_empty() {
        return String::new();
    }
    let head = format!("GPU-h for {}", share(backtest.world.slo_target));
    let rows =
        table::needs(backtest).into_iter().map(|(name, need)| (one_line(&name), vec![need], false));
    let table = grid("At equal attainment", ["policy", &head].into_iter(), rows);
    format!(
        "{table}<p class=\"note\">Between two settings of a policy's knob, on a straight line; \
         “never”: no setting tried attains it.</p>"
    )
}

/// Every setting tried; nothing without a sweep.
pub(super) fn sweep(backtest: &Backtest) -> String {
    if backtest.sweep.is_empty() {
        return String::new();
    }
    let heads = ["policy", "knob", "SLO %", "GPU-h"].into_iter();
    let rows = backtest.sweep.iter().zip(sweep_front(&backtest.sweep)).map(|(point, on)| {
        let (knob, hours) = (setting(point.headroom), measured(point.gpu_hours));
        (one_line(&point.name), vec![knob, percent(point.slo_attainment), hours], on)
    });
    let table = grid("Settings tried", heads, rows);
    format!(
        "<details><summary>All {} settings tried</summary>{table}<p class=\"note\">* on the Pareto \
         front: no other setting gives more for less.</p></details>",
        backtest.sweep.len()
    )
}

/// Where each policy is from, and how it differs here from the original.
pub(super) fn sources(backtest: &Backtest) -> String {
    backtest.policies.iter().map(source).collect()
}

fn source(entry: &Entry) -> String {
    let Entry { name, about, source, simplifications, knob, scores: _, course: _ } = entry;
    let knob = knob
        .as_ref()
        .map(|(knob, value)| format!("<br>Setting: {} = {}", line(knob), escape(&setting(*value))));
    let items: String =
        simplifications.iter().map(|item| format!("<li>{}</li>", line(item))).collect();
    let differs = if items.is_empty() { String::new() } else { format!("<ul>{items}</ul>") };
    format!(
        "<div><h3>{}</h3><p>{}<br>Source: {}{}</p>{differs}</div>\n",
        line(name),
        line(about),
        line(source),
        knob.unwrap_or_default()
    )
}

/// The command that gives this page again.
pub(super) fn reproduce(backtest: &Backtest) -> String {
    if backtest.command.is_empty() {
        return String::new();
    }
    let command = line(&backtest.command);
    format!(
        "<section id=\"reproduce\"><h2>To reproduce</h2>\n<pre>{command}</pre>\
         <p class=\"note\">The same command on the same input gives the same bytes.</p></section>"
    )
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_leave_its_element_or_its_attribute() {
        let hostile = "</td><script>\"'&";
        assert_eq!(escape(hostile), "&lt;/td&gt;&lt;script&gt;&quot;&#39;&amp;");
    }
}
