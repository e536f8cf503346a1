//! Zero: where demand shows while there are no pods, and how long idle and waking last.

use std::time::Duration;

use crate::spec::raw::Raw;
use crate::spec::target::{Endpoint, Gateway, LabelMatcher};
use crate::spec::{endpoint, names, number, query, selector, span};

/// The part of the metadata about zero.
pub(crate) struct Wake {
    pub(crate) activation: f64,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) gateway_selector: Vec<LabelMatcher>,
    pub(crate) activation_query: Option<String>,
    pub(crate) activation_endpoints: Vec<Endpoint>,
    pub(crate) idle_after: Duration,
    pub(crate) activation_timeout: Option<Duration>,
}

impl Wake {
    /// Whether demand is visible while there are no pods, own signals aside.
    pub(crate) fn visible(&self) -> bool {
        self.gateway.is_some()
            || self.activation_query.is_some()
            || !self.activation_endpoints.is_empty()
    }
}

const SHORTEST: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const IDLE_AFTER: Duration = Duration::from_secs(300);

/// Reads it for a scaled object in `namespace`.
pub(crate) fn read(raw: &mut Raw, namespace: &str) -> Wake {
    if raw.has("gatewaySelector") && !raw.has("gateway") {
        raw.refuse("gatewaySelector", "needs a gateway");
    }
    let pages = raw.take("activationEndpoints", |text| endpoint::parse(text, namespace));
    let gateway = raw.take("gateway", |text| names::one_of(text, &Gateway::NAMES));
    confined(raw, gateway);
    let idle_after = raw.take("idleAfter", |text| span::within(text, SHORTEST, WEEK));
    Wake {
        activation: raw.take("activation", number::not_negative).unwrap_or(0.0),
        gateway,
        gateway_selector: raw.take("gatewaySelector", selector::parse).unwrap_or_default(),
        activation_query: raw.take("activationQuery", query::parse),
        activation_endpoints: pages.unwrap_or_default(),
        idle_after: idle_after.unwrap_or(IDLE_AFTER),
        activation_timeout: raw.take("activationTimeout", |text| span::within(text, SHORTEST, DAY)),
    }
}

/// Gateways whose series are those of all workloads behind them must be told which are meant: every
/// request to a neighbour would wake this workload as well.
fn confined(raw: &mut Raw, gateway: Option<Gateway>) {
    let mixed = matches!(gateway, Some(Gateway::Litellm | Gateway::EnvoyAi));
    if mixed && !raw.has("model") && !raw.has("gatewaySelector") {
        let problem = "counts the requests of all models together: give model, or gatewaySelector";
        raw.refuse("gateway", problem);
    }
}
