//! The one table of metadata keys: what each means, accepts and defaults to.
//!
//! `docs/metadata.md` is generated from it, `prescale check` prints it, unknown keys are compared
//! with it. Reading a key is left to the modules that build the parts.

use std::fmt::Write as _;

/// One metadata key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What is accepted, as it continues "must be".
    pub accepted: &'static str,
    /// What holds when it is not given.
    pub default: &'static str,
    /// Whether its value may have several lines.
    pub multiline: bool,
}

/// All keys, in the order they are documented.
#[must_use]
pub const fn keys() -> &'static [Key] {
    &KEYS
}

/// The key called `name`.
#[must_use]
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Keys of KEDA itself, which it sends along: ignored.
pub const KEDA_KEYS: [&str; 7] = [
    "scalerAddress",
    "enableTLS",
    "unsafeSsl",
    "caCert",
    "tlsCertFile",
    "tlsClientCert",
    "tlsClientKey",
];

/// Keys of other scalers that people carry over, and what to write instead.
pub(crate) const FOREIGN_KEYS: [(&str, &str); 14] = [
    ("serverAddress", NAMED),
    ("prometheusAddress", NAMED),
    ("prometheusUrl", NAMED),
    ("address", NAMED),
    ("url", NAMED),
    ("query", "write it as an entry of signals: name, query, target"),
    ("threshold", "write queueDepth, or signals with a target"),
    ("targetValue", "write queueDepth, or signals with a target"),
    ("activationThreshold", "write activation"),
    ("metricName", "signals have a name each"),
    ("minReplicaCount", "write minReplicas; minReplicaCount belongs to the ScaledObject"),
    ("maxReplicaCount", "write maxReplicas; maxReplicaCount belongs to the ScaledObject"),
    ("cooldownPeriod", "write idleAfter; cooldownPeriod belongs to the ScaledObject"),
    ("pollingInterval", "write tick; pollingInterval belongs to the ScaledObject"),
];

const NAMED: &str = "addresses are named by the server's configuration: write datasource: NAME";

const fn row(
    name: &'static str,
    meaning: &'static str,
    accepted: &'static str,
    default: &'static str,
) -> Key {
    Key { name, meaning, accepted, default, multiline: false }
}

const fn lines(key: Key) -> Key {
    Key { multiline: true, ..key }
}

const RATIO: &str = "a ratio such as 0.85 or 85%";
const DURATION: &str = "a duration such as 30s, 5m or 7d";
const POSITIVE: &str = "a number above 0";
const MATCHERS: &str = "label matchers such as job=\"vllm\",pod=~\"a.*\"";
const PAGES: &str = "dns://SERVICE:PORT/PATH or http://HOST:PORT/PATH, comma separated, at most 16";
const QUANTILE: &str = "a quantile such as 95, p95 or 0.95";

#[rustfmt::skip]
static KEYS: [Key; 44] = [
    row("engine", "preset of metric names and roles; `gpu`: GPU exporter only; `custom`: own signals only",
        "one of vllm, sglang, tgi, trtllm, triton, llamacpp, dynamo, lmdeploy, nim, ray, gpu, custom", "`vllm`"),
    row("profile", "what one replica carries, until it was observed; `bert-gpu` seeds nothing",
        "one of llama-3-8b-a100, llama-3-8b-h100, qwen3-32b-tp2-h100, bert-gpu", "none: learned"),
    row("workload", "the object that carries the pods", "NAME, deployment/NAME or statefulset/NAME", "what the HPA targets"),
    row("hpa", "the HPA that tells workload, limits and current replicas", "the name of an HPA", "`keda-hpa-<name>`"),
    lines(row("selector", "extra label matchers for engine series", MATCHERS, "none")),
    row("model", "served model name", "a model name of at most 256 characters", "none"),
    row("datasource", "a datasource of the server's configuration", "a name of the configuration, not an address", "`default`"),
    row("endpoints", "direct scrape instead of Prometheus, within the namespace", PAGES, "none"),
    row("queueDepth", "waiting requests one replica should carry", POSITIVE, "unset"),
    row("concurrency", "waiting + running requests one replica should carry", POSITIVE, "unset"),
    row("requestRate", "arriving requests per second one replica should carry", POSITIVE, "learned"),
    row("tokenRate", "tokens (prompt + output) per second one replica should carry", POSITIVE, "learned"),
    row("kvCache", "share of its KV cache one replica should carry", RATIO, "`0.70` for vllm, sglang, trtllm, lmdeploy, nim, ray"),
    row("ttft", "objective: time to first token", "a duration from 1ms to 10m", "unset"),
    row("interTokenLatency", "objective: time between output tokens", "a duration from 1ms to 10m", "unset"),
    row("requestLatency", "objective: the whole request", "a duration from 1ms to 1h", "unset"),
    row("latencyQuantile", "the quantile that the objectives are about", "a quantile from 0.5 to 0.99", "`0.95`"),
    row("gpuUtilization", "share of time the GPU should be busy", RATIO, "`80%` for `engine: gpu`, else unset"),
    row("gpuMemory", "share of the framebuffer in use", RATIO, "unset"),
    row("gpuMemoryBandwidth", "share of time the GPU's memory is read or written", RATIO, "unset"),
    row("gpuPower", "power per GPU, in watts or as a share of the exporter's limit", "watts as 600W, or a ratio as 85%", "unset"),
    lines(row("signals", "own signals: a YAML list of `name`, `query`, `target`, `role` (`demand`, `latency`, `activation`; default `demand`), `total` (default `true`: value / target; `false`: mean per ready replica)",
        "a YAML list of at most 20 signals", "none")),
    row("activation", "0 to 1 only: wake when waiting + in flight + held is above it", "a number, 0 or more", "`0`"),
    row("gateway", "where demand shows while there are no pods; `litellm` and `envoy-ai` need a `model` or a `gatewaySelector`",
        "one of production-stack, llm-d, keda-http, knative, envoy-ai, litellm, dynamo, ray, ingress-nginx, istio, prescale-gate", "none"),
    lines(row("gatewaySelector", "label matchers for the gateway's series", MATCHERS, "none")),
    lines(row("activationQuery", "own query of the demand held while there are no pods", "a query of at most 4096 bytes", "none")),
    row("activationEndpoints", "pages that show the demand held while there are no pods; looked at each second while the workload sleeps", PAGES, "none"),
    row("idleAfter", "waiting = running = held = 0 for all of it before sleep; at least the cold start. KEDA adds its `cooldownPeriod`",
        "a duration from 10s to 7d", "`5m`"),
    row("activationTimeout", "how long a wake is held, extended while pods load", "a duration from 10s to 1d", "max(15m, 3 x lead time)"),
    row("coldStartCost", "idle time that one cold start is worth", DURATION, "5 x lead time"),
    row("scaleStrategy", "`reactive`: no forecast; `observer`: reactive is sent, the forecast recorded; `auto`: max(reactive, forecast while trusted); `proactive`: forecast counts even when demoted; `shadow`: sends 0 and inactive, records all, beside another trigger",
        "one of reactive, observer, auto, proactive, shadow", "`auto`"),
    row("quantile", "probability that capacity suffices", QUANTILE, "`95`, down to 85 where margin alone does not pay for the forecast"),
    row("scaleUpForward", "lead time: from a decision to a ready pod", "auto, or a duration of at most 1d", "`auto`: learned, seeded with 180 s"),
    row("forecastHistory", "how far back to learn", "a duration from 1d to 30d", "`14d`"),
    row("timezone", "local time of day and week profiles and of bounds", "a time zone such as Europe/Berlin", "`UTC`"),
    lines(row("holidays", "dates treated as Sunday", "dates such as 2026-12-25,2027-01-01", "none")),
    lines(row("instanceBounds", "replicas by the calendar: a YAML list of `startTime`, `endTime`, `bounds: [{cron, minReplicas, maxReplicas}]`, or of `start`, `end`, `desiredReplicas`; `timezone` per entry. Cron has 5 fields, POSIX weekdays (0 and 7 = SUN)",
        "a YAML list of at most 50 bounds", "none")),
    row("minReplicas", "lower limit known to the decision", "a whole number, at most maxReplicas", "the HPA's; 0"),
    row("maxReplicas", "upper limit known to the decision", "a whole number from 1 to the server's limit", "the HPA's; the server's limit, 1000"),
    row("headroom", "usable share of a replica's rate capacity", RATIO, "`0.70`"),
    row("headroomTrusted", "the same while the forecast is trusted; given, neither it nor `quantile` gives way to the bill", RATIO, "`headroom`, up to 95 % where the forecast would add to the bill"),
    row("onNoData", "replaces only the errors of blind and cold: `hold` (an error), `zero` (0 and inactive; beside other triggers only), `floor` (the minimum)",
        "one of hold, zero, floor", "`hold`"),
    row("hpaTolerance", "the cluster's HPA tolerance, if the sent value may leave its dead band above 9 replicas",
        "off, or a ratio such as 10%", "`off`"),
    row("tick", "time between decisions", "a duration from 5s to 1m", "the server's; `15s`"),
];

/// The table as a page of the documentation.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("| key | meaning | accepted | default |\n|---|---|---|---|\n");
    for Key { name, meaning, accepted, default, multiline: _ } in keys() {
        let accepted = accepted.replace('|', "\\|");
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{name}` | {meaning} | {accepted} | {default} |");
    }
    page.push_str(CLOSING);
    page
}

const INTRODUCTION: &str = "\
# Trigger metadata

All configuration of a scaler arrives as the metadata of its trigger. This page is generated from the
table that the parser reads; `prescale check FILE` applies it to your manifests.

- Values are strings: quote numbers. White space around them is ignored.
- Ratios are `0.85` or `85%`; a bare `85` is refused. Durations are `30s`, `5m`, `1h30m`, `7d`, `50ms`
  or a bare number of seconds. Quantiles are `95`, `p95` or `0.95`.
- Every fault is reported at once, in one line, by `kubectl describe scaledobject` and by `check`.
- Unknown keys are refused with a did-you-mean. KEDA's own keys (`scalerAddress`, `enableTLS`,
  `unsafeSsl`, `caCert`, `tlsCertFile`, `tlsClientCert`, `tlsClientKey`) are ignored.
- `<key>FromEnv` is accepted for any key: KEDA looks the value up in the environment of the scale
  target's container. It is never printed.
- At most 64 keys and 16 KiB in all; queries at most 4 KiB, brackets at most 64 deep.

";

const CLOSING: &str = "
## Signals

```yaml
signals: |
  - name: kafka            # lower-case letters, digits, -
    query: sum(kafka_consumergroup_lag{consumergroup=\"scoring\"})
    target: 50             # a number, a percentage (70% is 0.7) or a duration (5s is 5)
    role: demand           # or latency, activation
    total: true            # false: the value is a mean per ready replica
```

`demand` adds a term; `latency` moves a slow bounded trim; `activation` wakes when its value is above
`activation` (its `target` may be left out). A query that results in more than one element is an
error: add `sum(...)`.

## Bounds

```yaml
timezone: Europe/Berlin
instanceBounds: |
  - startTime: \"2026-01-01 00:00:00\"
    endTime: \"2027-01-01 00:00:00\"
    bounds:
    - cron: \"* 8-19 ? * MON-FRI\"
      minReplicas: 4
      maxReplicas: 15
  - start: 0 6 * * 1-5
    end: 0 8 * * 1-5
    desiredReplicas: 6
```

A bound holds in every minute that its expression matches, `desiredReplicas` from each start to the
next end; a floor counts one lead time before it begins, and a maximum in force wins over everything.
[Replicas by the calendar](schedule.md) has overlaps, summer time and what happens without data.

Weekdays are POSIX (0 and 7 are Sunday); a numeric weekday together with `?` is refused, since it means
another day in Quartz: write names. With both a day of month and a weekday, either is enough. Dates that
never come are refused.

## Endpoints

`dns://vllm-headless:8000/metrics` scrapes every address of a headless service,
`http://10.0.0.5:8000/metrics` one page. Names are services of the scaled object's own namespace:
`NAME`, `NAME.NAMESPACE`, `NAME.NAMESPACE.svc` or the same with `.cluster.local`. Loopback,
link-local, metadata and multicast addresses, odd spellings of addresses, and the ports of etcd, the
API server and the kubelet are refused.
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FOREIGN_KEYS, KEDA_KEYS, key, keys, reference};

    #[test]
    fn names_are_unique_and_none_is_two_things() {
        let names: BTreeSet<&str> = keys().iter().map(|key| key.name).collect();
        assert_eq!(names.len(), keys().len());
        for name in KEDA_KEYS.iter().chain(FOREIGN_KEYS.iter().map(|(name, _)| name)) {
            assert!(key(name).is_none(), "{name}");
        }
        assert!(names.iter().all(|name| name.len() <= 25 && !name.ends_with("FromEnv")));
    }

    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metadata.md");
        #[expect(clippy::disallowed_methods, reason = "the switch that renews golden files")]
        let update = std::env::var("UPDATE_GOLDEN").is_ok();
        if update {
            std::fs::write(path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == reference(), "docs/metadata.md is old: run with UPDATE_GOLDEN=1");
    }
}
