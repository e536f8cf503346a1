//! A scaler with a day behind it, made by hand: what the engine remembers, decides and kept.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use prescale::engine::arrived::Minute;
use prescale::engine::decision::{
    Block, Decision, Foreseen, Margin, Reason, Refusal, Rival, Stage, State, Term, TermKind, Trust,
    Verdict,
};
use prescale::engine::foresight::Foresight;
use prescale::engine::observation::{Fault, FaultKind, Searched, WorkloadFacts};
use prescale::engine::setup::{CapacitySeed, Setup, Strategy};
use prescale::engine::step::Memory;
use prescale::engine::units::{Ratio, Replicas, Timestamp};
use prescale::report::explain::data::{Cause, Course, Moment};
use prescale::report::explain::{Past, View, explain};
use prescale::report::{Report, Subject};
use prescale::spec::{self, Limits};

/// Thursday 5 March 2026, 14:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_772_719_200_000);

/// Requests per second that one replica takes at the headroom in force.
const PER_REPLICA: f64 = 1.75;
/// Minutes between a forecast and the end of what it is about.
const HORIZON: i64 = 10;

/// Which scaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Reactive,
    Observer,
    Young,
    Auto,
    Demoted,
    Shadow,
    Asleep,
    Blind,
    Starting,
}

impl Case {
    pub(crate) const ALL: [(&'static str, Self); 9] = [
        ("reactive", Self::Reactive),
        ("observer", Self::Observer),
        ("young", Self::Young),
        ("auto", Self::Auto),
        ("demoted", Self::Demoted),
        ("shadow", Self::Shadow),
        ("asleep", Self::Asleep),
        ("blind", Self::Blind),
        ("starting", Self::Starting),
    ];

    fn strategy(self) -> Strategy {
        match self {
            Self::Reactive | Self::Starting => Strategy::Reactive,
            Self::Observer | Self::Young | Self::Blind => Strategy::Observer,
            Self::Auto | Self::Demoted | Self::Asleep => Strategy::Auto,
            Self::Shadow => Strategy::Shadow,
        }
    }
}

/// Requests per second `minutes` before [`NOW`]: a day with a rise, a lull and bursts.
fn arrivals(minutes: i64) -> f64 {
    let minute = (14 * 60 - minutes).rem_euclid(1440);
    let day = f64::from(u32::try_from(minute).unwrap()) / 1440.0 * std::f64::consts::TAU;
    let burst = if minute % 240 < 12 { 6.0 } else { 0.0 };
    // The same bytes everywhere: no randomness, and no function whose last bit differs.
    let noise = f64::from(u32::try_from((minutes * 7919).rem_euclid(97)).unwrap()) / 97.0 - 0.5;
    let wave = 12.0 - 10.0 * day.cos() + burst + 2.0 * noise;
    (wave * 1000.0).round() / 1000.0
}

/// A report with all that there is to see of it.
pub(crate) fn report(case: Case) -> Report {
    named(case, "team-a", "llama")
}

/// The same of a scaler with these names.
pub(crate) fn named(case: Case, namespace: &str, name: &str) -> Report {
    let setup = setup(case);
    let mut memory = Memory::default();
    let past = past(case, &setup, &mut memory);
    let decision = decision(case);
    let decision = decision.as_ref().filter(|_| case != Case::Starting);
    let searched = [Searched {
        role: "cached tokens".to_owned(),
        tried: vec!["vllm:prefix_cache_hits".to_owned()],
        found: None,
    }];
    let fault = Fault { place: "datasource default".to_owned(), kind: FaultKind::ConnectTimeout };
    let faults = if case == Case::Blind { vec![fault] } else { Vec::new() };
    let subject = Subject {
        namespace,
        name,
        trigger: "0123abcd",
        searched: &searched,
        faults: &faults,
        withheld: None,
        open_streams: Some(1),
        last_call: Some(NOW),
    };
    let mut report = Report::new(&subject, decision, NOW);
    let workload = WorkloadFacts {
        workload: Some("deployment/vllm-llama".to_owned()),
        hpa_min: Some(1),
        hpa_max: Some(40),
        ..WorkloadFacts::default()
    };
    let view = View {
        setup: &setup,
        memory: &memory,
        decision,
        workload: &workload,
        named: None,
        age: Duration::from_hours(30),
    };
    explain(&mut report, &view, past);
    report
}

/// A report in which every string that comes from outside is `text`: names, pods, metric names, keys,
/// values, own signals, faults.
pub(crate) fn said(text: &str) -> Report {
    let own = || text.to_owned();
    let setup = setup(Case::Auto);
    let mut memory = Memory::default();
    let past = past(Case::Auto, &setup, &mut memory);
    let fault = Fault { place: own(), kind: FaultKind::ConnectTimeout };
    let role = prescale::engine::observation::Role::Waiting;
    let reasons = vec![
        Reason::Fault { place: own(), kind: FaultKind::ConnectTimeout },
        Reason::Unread { pods: 1, ready: 2, example: Some(own()) },
        Reason::OwnMissing { name: own() },
        Reason::Outlier { pod: own(), role, read: 9.0, counted: 1.0 },
        Reason::Unconfirmed { pod: own(), role, read: 9.0, counted: 1.0 },
        Reason::Stuck { pods: 1, example: own(), limit: Duration::from_mins(10) },
    ];
    let refused = Refusal::Stale { age: Duration::from_secs(612), cause: own() };
    let term = Term::ratio(TermKind::Own(own()), 20.5, 1.75).unwrap();
    let decision = Decision {
        reasons,
        terms: vec![term],
        verdict: Verdict::Refuse(refused),
        ..decision(Case::Auto).unwrap()
    };
    let searched = [Searched { role: own(), tried: vec![own()], found: Some(own()) }];
    let subject = Subject {
        namespace: text,
        name: text,
        trigger: text,
        searched: &searched,
        faults: &[fault],
        withheld: None,
        open_streams: Some(1),
        last_call: Some(NOW),
    };
    let mut report = Report::new(&subject, Some(&decision), NOW);
    let workload = WorkloadFacts { workload: Some(own()), ..WorkloadFacts::default() };
    let view = View {
        setup: &setup,
        memory: &memory,
        decision: Some(&decision),
        workload: &workload,
        named: Some(text),
        age: Duration::from_hours(30),
    };
    explain(&mut report, &view, past);
    report
}

fn setup(case: Case) -> Setup {
    let mut setup =
        spec::parse("team-a", "llama", &BTreeMap::new(), &Limits::default()).unwrap().setup;
    setup.strategy = case.strategy();
    setup.capacity = CapacitySeed {
        kv_tokens: Some(421_000.0),
        prefill_tokens_per_second: Some(18_000.0),
        generation_tokens_per_second: Some(2400.0),
    };
    setup.hpa_tolerance = (case == Case::Auto).then(|| Ratio::try_new(0.1).unwrap());
    setup
}

/// Median and quantile that were forecast for the five minutes so many minutes ago.
type Claims = BTreeMap<i64, (f64, f64)>;

/// What two hours and two days teach; learned once, for in an unoptimised build it takes a second.
static TAUGHT: LazyLock<[(Foresight, Claims); 2]> = LazyLock::new(|| [120, 2 * 1440].map(taught));

fn taught(minutes: i64) -> (Foresight, Claims) {
    let (setup, mut foresight, mut claims) =
        (setup(Case::Observer), Foresight::default(), Claims::new());
    for back in (1..=minutes).rev() {
        let at = NOW.minus(Duration::from_mins(u64::try_from(back).unwrap()));
        foresight
            .learn(&setup, &[Minute { requests: Some(arrivals(back)), ..Minute::unknown(at) }]);
        if back % 5 == 0 && back < 1440 + HORIZON {
            let bands = foresight.bands(0.95);
            let band = bands.iter().find(|(ahead, ..)| i64::from(*ahead) == HORIZON);
            claims.extend(band.map(|(_, median, upper)| (back - HORIZON, (*median, *upper))));
        }
    }
    (foresight, claims)
}

/// What is remembered, and the last day as a course.
fn past(case: Case, setup: &Setup, memory: &mut Memory) -> Past {
    memory.capacity.seed(&setup.capacity);
    let (foresight, claims) = &TAUGHT[usize::from(case != Case::Young)];
    let empty = Claims::new();
    let claims = if case == Case::Reactive { &empty } else { claims };
    if !matches!(case, Case::Reactive | Case::Starting) {
        memory.foresight = foresight.clone();
    }
    let course = if case == Case::Starting { Course::default() } else { course(case, claims) };
    let per_replica = memory.foresight.unit().map(|_| PER_REPLICA);
    Past { course, causes: causes(case), per_replica, history: None }
}

fn course(case: Case, claims: &Claims) -> Course {
    let back = if case == Case::Young { 24 } else { 288 };
    let points = (1..=back).rev().map(|slot| {
        let back = slot * 5;
        let largest = |from: i64, to: i64| (from..=to).map(arrivals).fold(0.0, f64::max);
        let (demand, window) = (largest(back - 4, back), largest(back - 4, back + 10));
        let claim = claims.get(&back).copied();
        let whole = |work: f64| {
            let count = (work / PER_REPLICA).ceil();
            (0..=100_u32).find(|it| f64::from(*it) >= count)
        };
        let predicted = claim.and_then(|(_, upper)| whole(upper));
        let reactive = whole(demand);
        let wanted = if case == Case::Auto { reactive.max(predicted) } else { whole(window) };
        Moment {
            at_ms: NOW.unix_ms() - back * 60_000,
            demand: (case != Case::Reactive).then_some(demand / PER_REPLICA),
            need: Some(demand / PER_REPLICA),
            median: claim.map(|(median, _)| median / PER_REPLICA),
            forecast: claim.map(|(_, upper)| upper / PER_REPLICA),
            current: wanted.map(|it| it.saturating_sub(u32::from(back % 35 == 0))),
            reactive,
            predicted,
            wanted,
            auto: predicted.map(|it| (it * 70).div_ceil(85).max(reactive.unwrap_or(0) * 70 / 85)),
        }
    });
    Course { step_seconds: 300, points: points.collect() }
}

fn causes(case: Case) -> Vec<Cause> {
    let rows: &[(&'static str, f64)] = match case {
        Case::Starting => &[],
        Case::Asleep => &[("asleep", 610.0), ("demand", 600.0), ("sleeps", 0.25)],
        Case::Reactive | Case::Blind => &[("demand", 1440.0), ("down-window", 212.0)],
        Case::Observer | Case::Young | Case::Auto | Case::Demoted | Case::Shadow => {
            &[("demand", 1440.0), ("forecast", 402.5), ("down-window", 212.0), ("loading", 48.25)]
        }
    };
    rows.iter().map(|(reason, minutes)| Cause { reason, minutes: *minutes }).collect()
}

fn scale(replicas: u32, sent: u32) -> Verdict {
    let (count, sent) = (Replicas::new(replicas), Replicas::new(sent));
    Verdict::Scale { replicas: count, sent, active: replicas > 0 }
}

fn foreseen(case: Case) -> Option<Foreseen> {
    let young = Trust::Young { remaining: Duration::from_mins(241) };
    let (trust, counts, stage) = match case {
        Case::Reactive | Case::Starting => return None,
        Case::Young => (young, false, Stage::Started),
        Case::Demoted => {
            (Trust::Demoted { ratio: 1.31, rival: Rival::Reactive }, false, Stage::Day)
        }
        Case::Auto | Case::Asleep => {
            (Trust::Trusted { ratio: 0.62, rival: Rival::Reactive }, true, Stage::Day)
        }
        Case::Observer | Case::Shadow | Case::Blind => {
            (Trust::Trusted { ratio: 0.62, rival: Rival::Reactive }, false, Stage::Day)
        }
    };
    let asleep = case == Case::Asleep;
    let part = if asleep { 0.4 } else { 1.0 };
    Some(Foreseen {
        quantile: 0.95,
        horizon: Duration::from_mins(10),
        equivalents: Some(if asleep { 0.2 } else { 13.4 }),
        replicas: Some(if asleep { 1 } else { 14 }),
        counts,
        reactive: if asleep { 0 } else { 12 },
        headroom: if counts { 0.85 } else { 0.7 },
        margin: counts.then_some(Margin { headroom: 0.85, share: part, adds: 0.062 }),
        trust,
        stage,
        next_stage: Some(Duration::from_hours(if case == Case::Young { 22 } else { 144 })),
        lead: Duration::from_secs(240),
    })
}

fn decision(case: Case) -> Option<Decision> {
    let rate = Term::ratio(TermKind::Rate, 20.5, 1.75)?;
    let queue = Term::ratio(TermKind::KvCache, 6.2, 0.7)?;
    let busy = Decision {
        at: NOW,
        state: State::Fresh,
        verdict: scale(12, 12),
        unmasked: scale(12, 12),
        terms: vec![rate, queue],
        reasons: vec![Reason::Need { replicas: 12 }],
        data_age: Some(Duration::from_secs(4)),
        current: Some(Replicas::new(11)),
        ready: Some(Replicas::new(11)),
        serving: true,
        foreseen: foreseen(case),
    };
    let kept = |reasons: Vec<Reason>| Decision { reasons, ..busy.clone() };
    let window = Block::Window { peak: 14, window: Duration::from_mins(3) };
    Some(match case {
        Case::Reactive | Case::Observer | Case::Demoted | Case::Starting => busy,
        Case::Young => kept(vec![
            Reason::Need { replicas: 12 },
            Reason::Kept { wanted: 12, kept: 14, block: window },
            Reason::CapacityUnknown,
        ]),
        Case::Auto => Decision {
            verdict: scale(14, 14),
            unmasked: scale(14, 14),
            ..kept(vec![
                Reason::Need { replicas: 12 },
                Reason::Early(prescale::engine::decision::Early::Forecast {
                    replicas: 14,
                    quantile: 0.95,
                    horizon: Duration::from_mins(10),
                }),
            ])
        },
        Case::Shadow => Decision {
            verdict: scale(0, 0),
            ..kept(vec![Reason::Need { replicas: 12 }, Reason::Shadow])
        },
        Case::Asleep => Decision {
            state: State::Asleep,
            verdict: scale(0, 0),
            unmasked: scale(0, 0),
            terms: Vec::new(),
            current: Some(Replicas::ZERO),
            ready: Some(Replicas::ZERO),
            serving: false,
            ..kept(vec![Reason::NoDemand])
        },
        Case::Blind => {
            let cause = "datasource default: connect timeout".to_owned();
            let age = Duration::from_secs(612);
            let refused = Verdict::Refuse(Refusal::Stale { age, cause });
            Decision {
                state: State::Blind,
                verdict: refused.clone(),
                unmasked: refused,
                terms: Vec::new(),
                data_age: Some(age),
                ..kept(vec![Reason::Stale { age }, Reason::NoNumber])
            }
        }
    })
}
