//! What a scaler is made of: how metadata is understood, how the world is read, how it is decided.
//!
//! [`Live`] is the real one. Tests script their own, which is why this is a trait: a registry is
//! driven through slow, silent and broken worlds without a network.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::engine::observation::Observation;
use crate::engine::setup::Setup;
use crate::engine::step::{self, Memory, Step};
use crate::engine::units::Timestamp;
use crate::scaler::reference::Reference;
use crate::source::backfill::{Backfill, Cursor};
use crate::source::{Reader, Sources};
use crate::spec::{self, Faults, Limits, Spec, Target};

/// Reads one scaler's surroundings.
pub trait Observe: Send + fmt::Debug {
    /// Everything that could be read for the tick at `at`. May be dropped half-way.
    fn observe(&mut self, at: Timestamp) -> BoxFuture<'_, Observation>;

    /// Waits until more demand than `above` shows where it shows between ticks while the scaler sleeps,
    /// and gives the instant at which it did; for ever where there is no such place, or `above` is
    /// absent: the scaler does not sleep. May be dropped while it waits.
    fn demand(&mut self, _above: Option<f64>) -> BoxFuture<'_, Timestamp> {
        Box::pin(std::future::pending())
    }
}

/// The functions that a registry of scalers calls.
pub trait World: Send + Sync + fmt::Debug {
    /// Understands a trigger: pure, so that a wrong one need not be read twice.
    ///
    /// # Errors
    /// Every fault of the metadata at once.
    fn parse(&self, reference: &Reference, limits: &Limits) -> Result<Spec, Faults>;

    /// An observer for one scaler. No I/O.
    fn observer(&self, target: &Target) -> Box<dyn Observe>;

    /// Decides: pure.
    fn step(&self, setup: &Setup, observation: &Observation, memory: Memory) -> Step;

    /// What reads the minutes that `cursor` lacks from where history is kept; `None`: nowhere.
    fn history(&self, _spec: &Spec, _cursor: Cursor) -> Option<Backfill> {
        None
    }
}

/// The real world: the parser, the datasources and the engine.
#[derive(Debug)]
pub struct Live {
    sources: Arc<Sources>,
}

impl Live {
    /// The world as `sources` show it.
    #[must_use]
    pub const fn new(sources: Arc<Sources>) -> Self {
        Self { sources }
    }
}

impl World for Live {
    fn parse(&self, reference: &Reference, limits: &Limits) -> Result<Spec, Faults> {
        spec::parse(&reference.namespace, &reference.name, &reference.metadata, limits)
    }

    fn observer(&self, target: &Target) -> Box<dyn Observe> {
        Box::new(self.sources.reader(target))
    }

    fn step(&self, setup: &Setup, observation: &Observation, memory: Memory) -> Step {
        step::step(setup, observation, memory)
    }

    fn history(&self, spec: &Spec, cursor: Cursor) -> Option<Backfill> {
        Some(self.sources.backfill(&spec.target, &spec.setup, cursor))
    }
}

impl Observe for Reader {
    fn observe(&mut self, at: Timestamp) -> BoxFuture<'_, Observation> {
        Box::pin(Self::observe(self, at))
    }

    fn demand(&mut self, above: Option<f64>) -> BoxFuture<'_, Timestamp> {
        Box::pin(Self::demand(self, above))
    }
}
