//! A tenant's own PromQL: understood before it is sent, confined to the tenant's namespace.
//!
//! Given the text of a query. Promises that what comes out has exactly one matcher on the tenant
//! labels in every selector, with the tenant's namespace, wherever the selector stands. The text that
//! comes out is parsed again and compared, so that a flaw of the printer cannot open a door.
//!
//! Parsing is recursive and its cost grows with the square of the length: length and depth are
//! checked before, and the work is done on a thread with a large stack.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector, parse};

use crate::spec::{LabelMatcher, MatchOp as Comparison};

/// 4 KiB take 27 ms to parse at worst; 20 KB take 0.7 s.
const QUERY_BYTES_MAX: usize = 4096;

/// No sensible query is nested deeper.
const DEPTH_MAX: usize = 64;

/// 4 KiB of unary minus nest 4 096 deep whatever the brackets say.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Why a query is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than 4 KiB.
    #[error("query is longer than 4 KiB")]
    TooLong,
    /// Nested deeper than 64.
    #[error("query is nested deeper than 64")]
    TooDeep,
    /// Not PromQL.
    #[error("query is not PromQL")]
    Syntax,
    /// A selector names another namespace, or does not name it plainly.
    #[error("query may select only its own namespace, by {label}=\"{namespace}\"")]
    Foreign {
        /// The label.
        label: String,
        /// The tenant's namespace.
        namespace: String,
    },
}

/// A query as it is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The text to send.
    pub query: String,
    /// The newest sample time of its first selector, as a query; `None` if it selects nothing.
    pub newest: Option<String>,
}

/// Understands `query`, and confines it to `namespace` where `tenant_labels` are given.
///
/// # Errors
/// When it is too long, too deep, not PromQL, or reaches for another namespace.
pub fn admit(
    query: &str,
    namespace: &str,
    tenant_labels: Option<&[String]>,
) -> Result<Admitted, Refusal> {
    bounded(query)?;
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("promql".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || understood(query, namespace, tenant_labels))
            .map_err(|_| Refusal::TooDeep)?
            .join()
            .unwrap_or(Err(Refusal::Syntax))
    })
}

/// Whether matchers that a tenant adds to our own templates stay within its namespace.
#[must_use]
pub fn confined(matchers: &[LabelMatcher], namespace: &str, tenant_labels: &[String]) -> bool {
    matchers
        .iter()
        .filter(|matcher| tenant_labels.contains(&matcher.label))
        .all(|matcher| matcher.op == Comparison::Equal && matcher.value == namespace)
}

fn bounded(query: &str) -> Result<(), Refusal> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let mut depth = 0_usize;
    for c in query.chars() {
        // Brackets in strings count too: a string with 64 of them is refused, and nothing is lost.
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Refusal::TooDeep);
        }
    }
    Ok(())
}

fn understood(
    query: &str,
    namespace: &str,
    tenant_labels: Option<&[String]>,
) -> Result<Admitted, Refusal> {
    let mut expr = parse(query).map_err(|_| Refusal::Syntax)?;
    let Some(labels) = tenant_labels else {
        return Ok(Admitted { query: query.to_owned(), newest: newest(&mut expr) });
    };
    for selector in selectors(&mut expr) {
        confine(selector, namespace, labels)?;
    }
    let text = expr.to_string();
    let again = parse(&text).map_err(|_| Refusal::Syntax)?;
    if again != expr {
        return Err(Refusal::Syntax);
    }
    Ok(Admitted { query: text, newest: newest(&mut expr) })
}

fn newest(expr: &mut Expr) -> Option<String> {
    let first = selectors(expr).into_iter().next()?;
    Some(format!("max(timestamp({first}))"))
}

fn confine(
    selector: &mut VectorSelector,
    namespace: &str,
    labels: &[String],
) -> Result<(), Refusal> {
    let foreign =
        |label: &str| Refusal::Foreign { label: label.to_owned(), namespace: namespace.to_owned() };
    let first = labels.first().map_or("namespace", String::as_str);
    // `{a="1" or b="2"}` is VictoriaMetrics': a matcher added to it would not bind every branch.
    if !selector.matchers.or_matchers.is_empty() {
        return Err(foreign(first));
    }
    let given: Vec<&Matcher> = selector
        .matchers
        .matchers
        .iter()
        .filter(|matcher| labels.contains(&matcher.name))
        .collect();
    match given.as_slice() {
        [] => {
            selector.matchers.matchers.push(Matcher::new(MatchOp::Equal, first, namespace));
            Ok(())
        }
        [only] if only.op == MatchOp::Equal && only.value == namespace => Ok(()),
        [other, ..] => Err(foreign(&other.name)),
    }
}

/// Every vector selector, in the order of the text.
fn selectors(expr: &mut Expr) -> Vec<&mut VectorSelector> {
    let mut found = Vec::new();
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        match expr {
            Expr::Aggregate(aggregate) => {
                waiting.push(&mut aggregate.expr);
                waiting.extend(aggregate.param.as_deref_mut());
            }
            Expr::Unary(unary) => waiting.push(&mut unary.expr),
            Expr::Binary(binary) => {
                waiting.push(&mut binary.rhs);
                waiting.push(&mut binary.lhs);
            }
            Expr::Paren(paren) => waiting.push(&mut paren.expr),
            Expr::Subquery(subquery) => waiting.push(&mut subquery.expr),
            Expr::VectorSelector(selector) => found.push(selector),
            Expr::MatrixSelector(matrix) => found.push(&mut matrix.vs),
            Expr::Call(call) => {
                waiting.extend(call.args.args.iter_mut().rev().map(AsMut::as_mut));
            }
            // The parser makes no extensions.
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests;
