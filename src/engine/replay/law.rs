//! What a policy is asked, and what it may answer.
//!
//! A law sees what its metrics pipeline shows it, never the world itself, and answers as a KEDA
//! trigger or an HPA metric does; who acts on the answer is the policy's
//! [`Actuator`](crate::engine::replay::policy::Actuator).

use std::fmt;

use crate::engine::observation::Observation;
use crate::engine::units::Timestamp;

/// What a law looks at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Now.
    pub at: Timestamp,
    /// The newest samples as scraped, pod by pod, with their own times.
    pub observation: &'a Observation,
    /// Replicas of the target's specification.
    pub spec: u32,
    /// Pods that are there and not leaving, ready or not.
    pub pods: u32,
    /// Pods that are ready.
    pub ready: u32,
}

/// One metric as the HPA reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// External metric, `AverageValue`: wants `value / target` replicas.
    Average {
        /// The value, summed over what there is.
        value: f64,
        /// Per replica; above zero.
        target: f64,
    },
    /// External metric, `Value`: wants `ready x value / target`.
    Value {
        /// The value.
        value: f64,
        /// Above zero.
        target: f64,
    },
    /// Metric of pods, `AverageValue`: wants `pods x mean / target`.
    Pods {
        /// The value of each ready pod that has one.
        values: Vec<f64>,
        /// Above zero.
        target: f64,
    },
}

/// What a law answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Metrics for the HPA, one per trigger; `None`: that trigger answered an error.
    pub metrics: Vec<Option<Metric>>,
    /// Whether any trigger is active; `None`: all answered errors.
    pub active: Option<bool>,
    /// Replicas to set without an HPA.
    pub replicas: Option<u32>,
    /// Invariants that broke, in words; fatal in tests.
    pub broken: Vec<String>,
}

/// A law with whatever it remembers.
pub trait Law: fmt::Debug + Send {
    /// Looks and answers. Called at the policy's own pace, in ascending time.
    fn look(&mut self, view: &View<'_>) -> Answer;

    /// Loses what a restart of its process would lose.
    fn restart(&mut self) {}

    /// Replicas that serve before anything is looked at; `None`: it leaves that to the scene. For
    /// what never starts anything because it is always on.
    fn begins(&self) -> Option<u32> {
        None
    }
}
