//! One scrape of one pod: the families that a preset of vLLM and a GPU exporter's reads.
//!
//! Names and ways to combine are those of the presets; values are as they stand after scaling, so
//! that utilisation is a share.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::observation::{Combine, Latency, Role, RoleSeries};
use crate::engine::replay::histogram::Histogram;
use crate::engine::replay::replica::{Replica, Totals, float, len};
use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;

/// What is read, under which name, and how several series would become one.
const ROLES: [(Role, &str, Combine); 10] = [
    (Role::Waiting, "vllm:num_requests_waiting", Combine::Sum),
    (Role::Running, "vllm:num_requests_running", Combine::Sum),
    (Role::KvUsage, "vllm:kv_cache_usage_perc", Combine::Mean),
    (Role::KvTokens, "vllm:cache_config_info", Combine::Sum),
    (Role::PromptTokens, "vllm:prompt_tokens_total", Combine::Sum),
    (Role::CachedTokens, "vllm:prompt_tokens_cached_total", Combine::Sum),
    (Role::GenerationTokens, "vllm:generation_tokens_total", Combine::Sum),
    (Role::Finished, "vllm:request_success_total", Combine::Sum),
    (Role::Rejections, "vllm:admission_rejections_total", Combine::Sum),
    (Role::GpuUtilization, "DCGM_FI_DEV_GPU_UTIL", Combine::Mean),
];

/// The values of one scrape.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// When.
    pub(super) at: Timestamp,
    /// In the order of [`ROLES`]; `None`: the engine has no such thing.
    values: [Option<f64>; ROLES.len()],
    ttft: Histogram,
    itl: Histogram,
    e2e: Histogram,
}

impl Page {
    /// Scrapes `replica`, whose GPU was busy for the share `busy` of the last glance.
    pub(super) fn of(replica: &Replica, at: Timestamp, busy: f64) -> Self {
        let totals = replica.totals();
        let value = |role| value(replica, totals, role, busy);
        let values = ROLES.map(|(role, _, _)| value(role));
        let Totals { ttft, itl, e2e, .. } = *totals;
        Self { at, values, ttft, itl, e2e }
    }

    /// The histogram of a latency.
    pub(super) const fn histogram(&self, latency: Latency) -> &Histogram {
        match latency {
            Latency::Ttft => &self.ttft,
            Latency::InterToken => &self.itl,
            Latency::Request => &self.e2e,
        }
    }
}

fn value(replica: &Replica, totals: &Totals, role: Role, busy: f64) -> Option<f64> {
    let cache = (replica.profile().kv_tokens > 0).then_some(replica.profile().kv_tokens);
    Some(match role {
        Role::Waiting => float(len(replica.waiting())),
        Role::Running => float(len(replica.running())),
        Role::KvUsage => cache.map(|_| replica.kv_usage())?,
        Role::KvTokens => {
            // Whole blocks, as the page says blocks and block size.
            let block = u64::from(replica.profile().block_tokens.max(1));
            float(cache? / block * block)
        }
        Role::PromptTokens => float(totals.prompt_tokens),
        Role::CachedTokens => float(totals.cached_tokens),
        Role::GenerationTokens => float(totals.generation_tokens),
        Role::Finished => float(totals.finished),
        Role::Rejections => float(totals.rejected),
        // Whole percent, as the driver says it.
        Role::GpuUtilization => (busy * 100.0).round() / 100.0,
        Role::Arrivals
        | Role::Awake
        | Role::GpuMemoryUsed
        | Role::GpuMemoryTotal
        | Role::GpuMemoryBandwidth
        | Role::GpuPower
        | Role::GpuPowerLimit => return None,
    })
}

/// The series of the pages at or after `from`, by role.
pub(super) fn roles(pages: &VecDeque<Page>, from: Timestamp) -> BTreeMap<Role, RoleSeries> {
    let begin = pages.partition_point(|page| page.at < from);
    let rows = ROLES.iter().enumerate().filter_map(|(idx, (role, metric, combine))| {
        let sample = |page: &Page| {
            let value = page.values.get(idx).copied().flatten()?;
            Some(Sample { at: page.at, value })
        };
        let samples: Vec<Sample> = pages.range(begin..).filter_map(sample).collect();
        (!samples.is_empty()).then(|| {
            let series = vec![Series::new(samples)];
            (*role, RoleSeries { metric: (*metric).to_owned(), combine: *combine, series })
        })
    });
    rows.collect()
}

/// How long a GPU was busy, as a share of `span`.
pub(super) fn busy_share(busy: Duration, span: Duration) -> f64 {
    busy.div_duration_f64(span).clamp(0.0, 1.0)
}
