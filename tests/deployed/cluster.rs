//! Pages of a small cluster: genuine pages with values set and counters that move, and pages composed
//! of genuine lines where no page of the kind is at hand.

use std::fmt::Write as _;
use std::time::Duration;

/// A page that moves: what it shows at a time since the start of the test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    template: String,
    /// Beginnings of lines, and what they grow by per second.
    grows: Vec<(&'static str, f64)>,
    /// Whether the page has a past; see [`Page::with_past`].
    past: bool,
}

/// How much of a past a page shows, and within which time it catches up with the present.
const PAST_SECONDS: f64 = 330.0;
const CATCH_UP_SECONDS: f64 = 30.0;

/// What histograms grow by per second, as a share of what they show: the quantiles stay.
const HISTOGRAM_SHARE: f64 = 0.01;

impl Page {
    /// A page as it was recorded, without its comments.
    pub(crate) fn of(recorded: &str) -> Self {
        let lines = recorded.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut template = String::new();
        for line in lines {
            writeln!(template, "{line}").unwrap();
        }
        Self { template, ..Self::default() }
    }

    /// With the value of every line that begins with `start` set.
    pub(crate) fn set(mut self, start: &str, value: f64) -> Self {
        let mut page = String::new();
        let mut found = 0;
        for line in self.template.lines() {
            match line.rsplit_once(' ').filter(|_| line.starts_with(start)) {
                Some((series, _)) => {
                    found += 1;
                    writeln!(page, "{series} {value}").unwrap();
                }
                None => writeln!(page, "{line}").unwrap(),
            }
        }
        assert!(found > 0, "no line begins with {start}");
        self.template = page;
        self
    }

    /// With every line that begins with `start` growing.
    pub(crate) fn grow(mut self, start: &'static str, per_second: f64) -> Self {
        assert!(self.template.lines().any(|line| line.starts_with(start)), "{start}");
        self.grows.push((start, per_second));
        self
    }

    /// With `from` replaced by `to` everywhere.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        assert!(self.template.contains(from), "{from}");
        self.template = self.template.replace(from, to);
        self
    }

    /// With samples that carry their time, begin 330 s ago and reach the present within half a
    /// minute: a window of minutes is full then, without a test that takes minutes.
    pub(crate) fn with_past(mut self) -> Self {
        self.past = true;
        self
    }

    /// Whether it shows nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.template.is_empty()
    }

    /// The page `elapsed` after the start, at the unix time `now`.
    pub(crate) fn shown(&self, elapsed: Duration, now: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let missing = (1.0 - seconds / CATCH_UP_SECONDS).max(0.0) * PAST_SECONDS;
        let behind = if self.past { missing } else { 0.0 };
        let mut page = String::new();
        for line in self.template.lines() {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let value = value + self.growth(series, value) * (seconds - behind);
            write!(page, "{series} {value}").unwrap();
            if self.past {
                let at = now.saturating_sub(Duration::from_secs_f64(behind)).as_millis();
                write!(page, " {at}").unwrap();
            }
            page.push('\n');
        }
        page
    }

    fn growth(&self, series: &str, value: f64) -> f64 {
        let name = series.split('{').next().unwrap();
        let histogram = ["_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
        let named = self.grows.iter().find(|(start, _)| series.starts_with(start));
        let share = if histogram { HISTOGRAM_SHARE * value } else { 0.0 };
        named.map_or(share, |(_, per_second)| *per_second)
    }
}

/// Pods of Deployment `name` as the cluster would call them.
pub(crate) fn pod_names(name: &str, count: usize) -> Vec<String> {
    let ends = ["abcde", "fghij", "klmno"];
    ends[..count].iter().map(|end| format!("{name}-7d9f6b5c4-{end}")).collect()
}

/// What kube-state-metrics exports of Deployment `name` with `pods`, all of them ready, and of the HPA
/// that KEDA makes for a scaled object of the same name.
pub(crate) fn state(namespace: &str, name: &str, pods: &[String], max: u32) -> String {
    let of_hpa = format!("namespace=\"{namespace}\",horizontalpodautoscaler=\"keda-hpa-{name}\"");
    let target = format!("scaletargetref_kind=\"Deployment\",scaletargetref_name=\"{name}\"");
    let of_deployment = format!("namespace=\"{namespace}\",deployment=\"{name}\"");
    let count = pods.len();
    let mut page = String::new();
    writeln!(page, "kube_horizontalpodautoscaler_info{{{of_hpa},{target}}} 1").unwrap();
    let facts = [("spec_min_replicas", 1), ("spec_max_replicas", max)];
    for (fact, value) in facts {
        writeln!(page, "kube_horizontalpodautoscaler_{fact}{{{of_hpa}}} {value}").unwrap();
    }
    writeln!(page, "kube_deployment_spec_replicas{{{of_deployment}}} {count}").unwrap();
    writeln!(page, "kube_deployment_status_replicas_ready{{{of_deployment}}} {count}").unwrap();
    for pod in pods {
        let of_pod = format!("namespace=\"{namespace}\",pod=\"{pod}\",uid=\"{pod}\"");
        writeln!(page, "kube_pod_created{{{of_pod}}} 1.7e+09").unwrap();
        writeln!(page, "kube_pod_status_ready_time{{{of_pod}}} 1.70000009e+09").unwrap();
        writeln!(page, "kube_pod_status_phase{{{of_pod},phase=\"Running\"}} 1").unwrap();
        writeln!(page, "kube_pod_status_ready{{{of_pod},condition=\"true\"}} 1").unwrap();
    }
    page
}

/// What one pod's GPU shows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gpu {
    /// Percent of the time busy.
    pub(crate) busy: f64,
    /// Share of the time its memory is read or written.
    pub(crate) bandwidth: f64,
    /// MiB used and free.
    pub(crate) memory: (f64, f64),
    /// Watts drawn and allowed.
    pub(crate) power: (f64, f64),
}

/// Lines of the DCGM exporter for the GPU of `pod`: a recorded page, and under its labels the two
/// families that were not enabled where it was recorded.
pub(crate) fn gpu(namespace: &str, pod: &str, gpu: Gpu) -> Page {
    let recorded = include_str!("../data/prometheus/dcgm-exporter-k8s.prom");
    let busy = recorded.lines().find(|line| line.starts_with("DCGM_FI_DEV_GPU_UTIL{")).unwrap();
    let more = ["DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_DEV_POWER_MGMT_LIMIT"];
    let composed = more.map(|family| busy.replace("DCGM_FI_DEV_GPU_UTIL", family)).join("\n");
    let Gpu { busy, bandwidth, memory: (used, free), power: (drawn, limit) } = gpu;
    Page::of(&format!("{recorded}\n{composed}\n"))
        .renamed("namespace=\"default\"", &format!("namespace=\"{namespace}\""))
        .renamed("cuda-75454ffb9f-8ljq7", pod)
        .renamed("GPU-a8394b51-c086-568a-9f1a-c1e1c934c44c", &format!("GPU-{namespace}-{pod}"))
        .set("DCGM_FI_DEV_GPU_UTIL", busy)
        .set("DCGM_FI_PROF_DRAM_ACTIVE", bandwidth)
        .set("DCGM_FI_DEV_FB_USED", used)
        .set("DCGM_FI_DEV_FB_FREE", free)
        .set("DCGM_FI_DEV_POWER_USAGE", drawn)
        .set("DCGM_FI_DEV_POWER_MGMT_LIMIT", limit)
}

/// Lines of two pages as one.
pub(crate) fn together(pages: impl IntoIterator<Item = Page>) -> Page {
    pages.into_iter().fold(Page::default(), |mut all, page| {
        all.template += &page.template;
        all.grows.extend(page.grows);
        all
    })
}
