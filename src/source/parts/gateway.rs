//! Demand that shows outside of the pods: a gateway preset, or the user's own activation query.

use std::time::Duration;

use crate::engine::observation::{Fault, FaultKind, GatewayReading};
use crate::engine::series::{Sample, Series};
use crate::source::assemble::RawSeries;
use crate::source::parts::arrivals::{Rows, span};
use crate::source::parts::asking::{Asking, Notes, searched};
use crate::source::parts::held::{both, edges, summed};
use crate::source::parts::own::{self, Question};
use crate::source::plan;
use crate::source::preset::{Asked, Tenant, asked};
use crate::source::tenancy::confined;
use crate::spec::Gateway;

/// What the places outside of the pods show; `None` when none is configured.
pub(crate) async fn read(
    asking: Asking<'_>,
    activation: Option<&Question>,
    window: Duration,
) -> (Option<GatewayReading>, Notes) {
    let preset = async {
        match asking.target.gateway.filter(|_| asking.target.activation_endpoints.is_empty()) {
            Some(gateway) => Some(preset(asking, gateway, window).await),
            None => None,
        }
    };
    let query = async {
        match activation {
            Some(question) => Some(query(asking, question).await),
            None => None,
        }
    };
    let (preset, query) = tokio::join!(preset, query);
    let mut notes = Notes::default();
    let mut reading: Option<GatewayReading> = None;
    for (one, note) in [preset, query].into_iter().flatten() {
        reading = Some(reading.map_or(one, |other| both(other, one)));
        notes.add(note);
    }
    (reading, notes)
}

async fn query(asking: Asking<'_>, question: &Question) -> (GatewayReading, Notes) {
    let mut notes = Notes::default();
    let (held, age) =
        tokio::join!(own::value(asking, question, &mut notes), own::age(asking, question));
    (GatewayReading { held, age, ..GatewayReading::default() }, notes)
}

async fn preset(asking: Asking<'_>, gateway: Gateway, window: Duration) -> (GatewayReading, Notes) {
    let mut notes = Notes::default();
    let ways = asked(gateway);
    if let Some(refused) = refused(asking, ways) {
        notes.fault(refused);
        return (GatewayReading::default(), notes);
    }
    let mut read = None;
    for way in ways.iter().filter(|way| way.fits(asking.target)) {
        let mut found: Vec<RawSeries> = Vec::new();
        for query in plan::gateway(asking.target, way, window) {
            let rows = asking.series(&query, &mut notes).await.unwrap_or_default();
            found.extend(rows.into_iter().filter(|row| row.series.latest().is_some()));
        }
        let names = way.demand();
        let present = found.iter().map(|row| row.name.as_str()).collect();
        notes.searched.push(searched("gateway", &names, &present));
        if read.is_none() && !found.is_empty() {
            read = Some(understood(asking, way, &found, window).await);
        }
    }
    if read.is_none() && notes.faults.is_empty() {
        notes.fault(Fault { place: "gateway".to_owned(), kind: FaultKind::Empty });
    }
    (read.unwrap_or_default(), notes)
}

/// Why a gateway may not be asked in these ways, if it may not: the user's matchers leave the
/// namespace.
pub(crate) fn refused(asking: Asking<'_>, ways: &[Asked]) -> Option<Fault> {
    let fault = |place: &str| Fault { place: place.to_owned(), kind: FaultKind::ClientError };
    let mut labels = asking.datasource.tenant_labels()?.to_vec();
    // Where the user names the gateway's own label, the template leaves it out: whatever the
    // administrator lists, it is confined too.
    labels.extend(ways.iter().filter_map(|way| match way.tenant {
        Tenant::Label(label) => Some(label.to_owned()),
        // The template confines these whatever the user's matchers say.
        Tenant::Own(_) | Tenant::Renamed(_) | Tenant::Prefix(_) | Tenant::Route(_) => None,
    }));
    let within = confined(&asking.target.gateway_selector, &asking.target.namespace, &labels);
    (!within).then(|| fault("gatewaySelector (selects another namespace)"))
}

async fn understood(
    asking: Asking<'_>,
    way: &Asked,
    rows: &[RawSeries],
    window: Duration,
) -> GatewayReading {
    let born = births(asking, &edges(way, rows), window).await;
    let same = |one: &RawSeries, row: &RawSeries| one.name == row.name && one.labels == row.labels;
    let others = rows.iter().filter(|row| !born.iter().any(|one| same(one, row))).cloned();
    let read: Vec<RawSeries> = others.chain(born.iter().cloned()).collect();
    let rows = Rows { read: &read, ..Rows::default() };
    summed(way, rows, asking.at, asking.target.tick)
}

/// The counters that were born of late, from zero on: what they began with are their first requests. A
/// counter counts as born only if its page was scraped before without it; a server that just began to
/// scrape saw no birth.
async fn births(asking: Asking<'_>, counters: &[&RawSeries], window: Duration) -> Vec<RawSeries> {
    let mut born = Vec::new();
    for row in counters {
        let Some(first) = first_of_late(&row.series) else { continue };
        let zeros = scraped_before(asking, row, first, window).await;
        if !zeros.is_empty() {
            let samples = zeros.into_iter().chain(row.series.samples().iter().copied());
            born.push(RawSeries { series: Series::new(samples.collect()), ..(*row).clone() });
        }
    }
    born
}

/// The first sample, if it lies within the time that counts.
fn first_of_late(series: &Series) -> Option<Sample> {
    let from = series.latest()?.at.minus(span(series.scrape_interval()));
    series.samples().first().copied().filter(|first| first.at > from)
}

/// The scrapes of the counter's page before its `first` sample, at zero.
async fn scraped_before(
    asking: Asking<'_>,
    row: &RawSeries,
    first: Sample,
    window: Duration,
) -> Vec<Sample> {
    let labels: Vec<(&str, &str)> = ["namespace", "job", "instance"]
        .into_iter()
        .filter_map(|name| Some((name, row.labels.get(name)?.as_str())))
        .collect();
    if labels.is_empty() {
        return Vec::new();
    }
    let query = plan::up(&labels, window);
    // Without an answer there is no evidence of a birth, and nothing else is lost.
    let mut unheard = Notes::default();
    let rows = asking.series(&query, &mut unheard).await.unwrap_or_default();
    rows.iter()
        .flat_map(|up| up.series.samples())
        .filter(|sample| sample.at < first.at && sample.value >= 1.0)
        .map(|sample| Sample { at: sample.at, value: 0.0 })
        .collect()
}
