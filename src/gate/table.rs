//! Which route takes which model.

use std::sync::Arc;

use crate::gate::config::Pattern;
use crate::gate::error::Refusal;
use crate::gate::route::Route;

/// Models that an error names, so that it stays readable.
const NAMED_MAX: usize = 20;

/// All routes.
#[derive(Debug)]
pub(super) struct Table {
    routes: Vec<Arc<Route>>,
}

impl Table {
    /// A table of these routes.
    pub(super) const fn new(routes: Vec<Arc<Route>>) -> Self {
        Self { routes }
    }

    /// All routes.
    pub(super) fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The only route, if it takes every model: then nobody has to know which is asked for.
    pub(super) fn only(&self) -> Option<&Arc<Route>> {
        match self.routes.as_slice() {
            [only] if only.settings.models.is_empty() => Some(only),
            _ => None,
        }
    }

    /// The route that takes what no other takes.
    fn default(&self) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.settings.models.is_empty())
    }

    /// The route for `model`: the best match, else the one that takes the rest.
    ///
    /// # Errors
    /// When there is none; names what there is.
    pub(super) fn find(&self, model: Option<&str>) -> Result<&Arc<Route>, Refusal> {
        let Some(model) = model else {
            return self.default().ok_or_else(|| Refusal::NoModel { accepted: self.accepted() });
        };
        let fit = |route: &Arc<Route>| {
            route.settings.models.iter().filter_map(|pattern| pattern.fit(model)).max()
        };
        let best = self.routes.iter().filter_map(|route| Some((fit(route)?, route)));
        let best = best.max_by_key(|(fit, _)| *fit).map(|(_, route)| route);
        best.or_else(|| self.default()).ok_or_else(|| Refusal::unknown(model, self.accepted()))
    }

    /// The models that have a name of their own, in the order of the routes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let patterns = self.routes.iter().flat_map(|route| &route.settings.models);
        patterns.filter_map(|pattern| match pattern {
            Pattern::Name(name) => Some(name.as_str()),
            Pattern::Prefix(_) => None,
        })
    }

    fn accepted(&self) -> String {
        let all = self.routes.iter().flat_map(|route| &route.settings.models);
        let mut names: Vec<String> = all.map(Pattern::to_string).collect();
        if names.len() > NAMED_MAX {
            names.truncate(NAMED_MAX);
            names.push("...".to_owned());
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Table;
    use crate::clock::Clock;
    use crate::gate::config::{Overrides, Settings};
    use crate::gate::metrics::Metrics;
    use crate::gate::route::Route;

    fn table(text: &str) -> Table {
        let settings = Settings::parse(text, Overrides::default()).unwrap();
        let metrics = Metrics::default();
        let routes = settings.routes.into_iter().map(|route| {
            let of = metrics.of(&route);
            Arc::new(Route::new(route, of, Clock::system()))
        });
        Table::new(routes.collect())
    }

    const ROUTES: &str = "routes:
- {models: [llama-3, 'qwen*'], scaledObject: a/one, upstream: 'http://a:1'}
- {models: ['llama-*', 'qwen-7*'], scaledObject: a/two, upstream: 'http://a:1'}
";

    fn check(text: &str, rows: &[(Option<&str>, Result<&str, &str>)]) {
        let table = table(text);
        for (model, expected) in rows {
            let found = table.find(*model).map(|route| route.settings.name.clone());
            let found = found.map_err(|refusal| refusal.body()["error"]["message"].to_string());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{model:?}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{model:?}: {error}"),
                (found, expected) => panic!("{model:?}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn the_name_wins_over_the_longer_prefix_and_that_over_the_shorter() {
        let accepted = "accepted: llama-3, qwen*, llama-*, qwen-7*";
        check(
            ROUTES,
            &[
                (Some("llama-3"), Ok("one")),
                (Some("llama-4"), Ok("two")),
                (Some("qwen-7b"), Ok("two")),
                (Some("qwen-8b"), Ok("one")),
                (Some("gpt"), Err(accepted)),
                (None, Err(accepted)),
            ],
        );
        let with_default = format!("{ROUTES}- {{scaledObject: a/rest, upstream: 'http://a:1'}}\n");
        check(&with_default, &[(Some("gpt"), Ok("rest")), (None, Ok("rest"))]);
    }
}
