//! A backtest as one page that opens without a network.
//!
//! Given a [`Backtest`], promises a file below 1 MB with up to 20 policies, in which every string is
//! escaped, a policy forbids every request and every script but the two that are in it, and every
//! figure can be read without scripts; with them the courses are drawn (by uPlot, whose licence is
//! in the page). The same input gives the same bytes.

use crate::report::backtest::data::Backtest;
use crate::report::backtest::page_data::embedded;
use crate::report::backtest::sections::{
    change, facts, hero, needs, policies, reproduce, sources, sweep,
};
use crate::report::line::{escape, one_line};
use crate::report::page::{fill, policy};

const TEMPLATE: &str = include_str!("assets/page.html");
const STYLE: &str = concat!(include_str!("assets/uPlot.min.css"), include_str!("assets/page.css"));
const SCRIPT: &str = include_str!("assets/page.js");
const UPLOT: &str = include_str!("assets/uPlot.iife.min.js");
const UPLOT_LICENSE: &str = include_str!("assets/uPlot.LICENSE");

/// The page.
#[must_use]
pub fn html(backtest: &Backtest) -> String {
    let slot = |name: &str| match name {
        "policy" => content_security_policy(),
        "style" => STYLE.to_owned(),
        "uplot" => UPLOT.to_owned(),
        "script" => SCRIPT.to_owned(),
        "license" => escape(UPLOT_LICENSE),
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        "data" => embedded(backtest),
        "title" => escape(&one_line(&backtest.trace.name)),
        "hero" => hero(backtest),
        "facts" => facts(backtest),
        "change" => change(backtest),
        "policies" => policies(backtest),
        "needs" => needs(backtest),
        "sweep" => sweep(backtest),
        "sources" => sources(backtest),
        "reproduce" => reproduce(backtest),
        // A test fills the template and looks for this.
        unknown => format!("[no slot {unknown}]"),
    };
    fill(TEMPLATE, slot)
}

/// Only our own scripts and style act.
fn content_security_policy() -> String {
    policy(&[UPLOT, SCRIPT], STYLE)
}

#[cfg(test)]
mod tests {
    use super::{SCRIPT, STYLE, UPLOT};

    /// A browser computes digests from what it parsed, in which lines end with a line feed alone.
    #[test]
    fn an_asset_stands_in_its_element_as_it_is() {
        for asset in [UPLOT, SCRIPT, STYLE] {
            assert!(!asset.contains('\r') && !asset.contains("</"), "{:.40}", asset);
        }
    }
}
