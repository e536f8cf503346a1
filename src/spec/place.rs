//! Which workload is meant, and where its metrics come from.

use crate::spec::fault::Problem;
use crate::spec::profile::{PROFILES, Profile};
use crate::spec::raw::Raw;
use crate::spec::target::{Engine, LabelMatcher, SourceRef, WorkloadRef};
use crate::spec::{endpoint, names, selector};

/// The part of the metadata that says what to read.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) profile: Option<Profile>,
    pub(crate) workload: Option<WorkloadRef>,
    pub(crate) hpa: String,
    pub(crate) selector: Vec<LabelMatcher>,
    pub(crate) model: Option<String>,
    pub(crate) source: SourceRef,
}

/// Reads it for the scaled object `namespace`/`name`.
pub(crate) fn read(raw: &mut Raw, namespace: &str, name: &str) -> Place {
    Place {
        engine: raw.take("engine", engine).unwrap_or(Engine::Vllm),
        profile: raw.take("profile", profile),
        workload: raw.take("workload", names::workload),
        hpa: raw.take("hpa", names::object).unwrap_or_else(|| format!("keda-hpa-{name}")),
        selector: raw.take("selector", selector::parse).unwrap_or_default(),
        model: raw.take("model", names::model),
        source: source(raw, namespace),
    }
}

fn engine(text: &str) -> Result<Engine, Problem> {
    if text == "ollama" {
        return Err(Problem::new(
            "has no metrics: write engine: gpu with a GPU exporter, and a gateway to wake",
        ));
    }
    names::one_of(text, &Engine::NAMES)
}

fn profile(text: &str) -> Result<Profile, Problem> {
    names::one_of(text, &PROFILES.map(|profile| (profile.name, profile)))
}

fn source(raw: &mut Raw, namespace: &str) -> SourceRef {
    let datasource = raw.take("datasource", names::datasource);
    let datasource = datasource.unwrap_or_else(|| "default".to_owned());
    match raw.take("endpoints", |text| endpoint::parse(text, namespace)) {
        None => SourceRef::Datasource(datasource),
        Some(endpoints) => SourceRef::Endpoints { endpoints, datasource },
    }
}
