//! What one HorizontalPodAutoscaler is told: limits, tolerance, and how fast it may go.
//!
//! Data only; the arithmetic is left to the siblings. Names follow `autoscaling/v2`; what belongs to
//! the controller's flags and not to the object says so.

use std::time::Duration;

/// `--horizontal-pod-autoscaler-tolerance`, as shipped.
const TOLERANCE: f64 = 0.1;

/// `--horizontal-pod-autoscaler-downscale-stabilization`, as shipped.
const STABILIZATION: Duration = Duration::from_mins(5);

/// Limits and `behavior` of one HPA, and the controller's flags that apply to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    /// `minReplicas`, at least 1; KEDA sets 1 for a ScaledObject that may sleep.
    pub min: u32,
    /// `maxReplicas`, at least `min`.
    pub max: u32,
    /// The controller's tolerance: the deviation of the ratio from 1 that is ignored, bounds
    /// included; at least 0.
    pub tolerance: f64,
    /// The controller's downscale window. Used without `rules` only.
    pub stabilization: Duration,
    /// `spec.behavior`, up and down, defaults filled in; `None`: the mode without behavior.
    pub rules: Option<(Rules, Rules)>,
}

/// How fast one direction may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// A change is only made as far as all of this window asked for it.
    pub stabilization: Duration,
    /// Of this direction; `None`: the controller's.
    pub tolerance: Option<f64>,
    /// Which of the policies counts.
    pub select: Select,
    /// What may be done; at least one.
    pub policies: Vec<Step>,
}

/// `selectPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The policy that allows the greatest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One scaling policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many replicas in each period.
    Pods {
        /// Replicas, above zero.
        value: u32,
        /// Whole seconds, above zero.
        period: Duration,
    },
    /// So many percent of the replicas at the period's begin, in each period.
    Percent {
        /// Percent, above zero; may exceed 100 upwards.
        value: u32,
        /// Whole seconds, above zero.
        period: Duration,
    },
}

impl Step {
    /// The span over which changes are counted.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self {
            Self::Pods { period, .. } | Self::Percent { period, .. } => period,
        }
    }
}

impl Behavior {
    /// What prescale ships: no tolerance, no windows (prescale holds the down-window itself), up as
    /// far as asked, down by half a minute.
    #[must_use]
    pub fn shipped(min: u32, max: u32) -> Self {
        let rules = |step| Rules {
            stabilization: Duration::ZERO,
            tolerance: Some(0.0),
            select: Select::Max,
            policies: vec![step],
        };
        let up = Step::Pods { value: 100, period: Duration::from_secs(15) };
        let down = Step::Percent { value: 50, period: Duration::from_secs(60) };
        Self { rules: Some((rules(up), rules(down))), ..Self::plain(min, max) }
    }

    /// No `behavior` at all, as KEDA leaves it unless told: the older mode, with the controller's
    /// own limits.
    #[must_use]
    pub const fn plain(min: u32, max: u32) -> Self {
        Self { min, max, tolerance: TOLERANCE, stabilization: STABILIZATION, rules: None }
    }

    /// A `behavior` in which everything is left to Kubernetes' defaults: up by 4 pods or 100 %
    /// every 15 s, whichever is more; down as far as the highest recommendation of 300 s.
    #[must_use]
    pub fn defaults(min: u32, max: u32) -> Self {
        let period = Duration::from_secs(15);
        let double = Step::Percent { value: 100, period };
        let rules = |stabilization, policies| Rules {
            stabilization,
            tolerance: None,
            select: Select::Max,
            policies,
        };
        let up = rules(Duration::ZERO, vec![Step::Pods { value: 4, period }, double]);
        let down = rules(STABILIZATION, vec![double]);
        Self { rules: Some((up, down)), ..Self::plain(min, max) }
    }
}
