//! The metadata contract from outside: every key, every fault's text, hostile input.

#![expect(clippy::float_cmp, reason = "parsed literals are compared with literals")]

#[path = "support/hostile.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hostile::HOSTILE;
use prescale::engine::setup::{
    Family, Lead, OnNoData, OwnRole, PowerTarget, Setup, Strategy, Thrift,
};
use prescale::engine::units::Replicas;
use prescale::spec::{Engine, Faults, Limits, Redacted, SourceRef, Spec, keys, parse};

fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Spec, Faults> {
    parse("team-a", "llama", &metadata(pairs), &Limits::default())
}

fn setup(pairs: &[(&str, &str)]) -> Setup {
    read(pairs).unwrap_or_else(|faults| panic!("{pairs:?}: {faults}")).setup
}

#[test]
fn nothing_given_is_a_vllm_with_the_documented_defaults() {
    let Spec { target, setup, .. } = read(&[]).unwrap();
    assert_eq!(target.engine, Engine::Vllm);
    assert_eq!(target.hpa, "keda-hpa-llama");
    assert_eq!(target.source, SourceRef::Datasource("default".to_owned()));
    assert!(!target.gpu && target.latencies.is_empty());
    assert_eq!(setup.family, Family::Llm);
    assert!(setup.has_kv && !setup.wake_path);
    assert_eq!(setup.targets.kv_cache.unwrap().get(), 0.70);
    assert_eq!(setup.headroom.get(), 0.70);
    assert_eq!(setup.idle_after, Duration::from_secs(300));
    assert_eq!((setup.min_replicas, setup.max_replicas), (None, None));
    assert_eq!(setup.replicas_limit, Replicas::new(1000));
    assert_eq!((setup.strategy, setup.lead), (Strategy::Auto, Lead::Learned));
    assert_eq!((setup.on_no_data, setup.hpa_tolerance), (OnNoData::Hold, None));
    assert_eq!(setup.tick, Duration::from_secs(15));
    assert!(setup.activation == 0.0 && setup.activation_timeout.is_none());
}

#[test]
fn each_key_reaches_the_setup() {
    let all = setup(&[
        ("queueDepth", "5"),
        ("concurrency", "32"),
        ("requestRate", "1.5"),
        ("tokenRate", "500"),
        ("kvCache", "85%"),
        ("ttft", "500ms"),
        ("interTokenLatency", "0.05"),
        ("requestLatency", "5s"),
        ("gpuUtilization", "75%"),
        ("gpuMemory", "90%"),
        ("gpuMemoryBandwidth", "0.7"),
        ("gpuPower", "600W"),
        ("activation", "2"),
        ("gateway", "llm-d"),
        ("idleAfter", "10m"),
        ("activationTimeout", "1200"),
        ("scaleStrategy", "shadow"),
        ("scaleUpForward", "4m"),
        ("minReplicas", "1"),
        ("maxReplicas", "8"),
        ("headroom", "0.8"),
        ("onNoData", "floor"),
        ("hpaTolerance", "10%"),
        ("tick", "5s"),
        ("profile", "llama-3-8b-h100"),
    ]);
    let targets = all.targets;
    assert_eq!((targets.queue_depth, targets.concurrency), (Some(5.0), Some(32.0)));
    assert_eq!((targets.request_rate, targets.token_rate), (Some(1.5), Some(500.0)));
    assert_eq!(targets.kv_cache.unwrap().get(), 0.85);
    assert_eq!(all.objectives.ttft, Some(Duration::from_millis(500)));
    assert_eq!(all.objectives.inter_token, Some(Duration::from_millis(50)));
    assert_eq!(all.objectives.request, Some(Duration::from_secs(5)));
    assert_eq!(all.gpu.utilization.unwrap().get(), 0.75);
    assert_eq!(all.gpu.memory.unwrap().get(), 0.9);
    assert_eq!(all.gpu.memory_bandwidth.unwrap().get(), 0.7);
    assert_eq!(all.gpu.power, Some(PowerTarget::Watts(600.0)));
    assert!(all.wake_path && all.activation == 2.0);
    assert_eq!(all.idle_after, Duration::from_secs(600));
    assert_eq!(all.activation_timeout, Some(Duration::from_secs(1200)));
    assert_eq!((all.strategy, all.on_no_data), (Strategy::Shadow, OnNoData::Floor));
    assert_eq!(all.lead, Lead::Fixed(Duration::from_secs(240)));
    assert_eq!(all.min_replicas.zip(all.max_replicas), Some((Replicas::ONE, Replicas::new(8))));
    assert_eq!((all.headroom.get(), all.hpa_tolerance.unwrap().get()), (0.8, 0.1));
    assert_eq!(all.tick, Duration::from_secs(5));
    assert_eq!(all.capacity.kv_tokens, Some(421_000.0));
}

#[test]
fn the_servers_tick_holds_where_a_trigger_says_none() {
    let limits = Limits { tick: Duration::from_secs(30), ..Limits::default() };
    for (given, seconds) in [(&[][..], 30), (&[("tick", "5s")][..], 5)] {
        let spec = parse("team-a", "llama", &metadata(given), &limits).unwrap();
        assert_eq!((spec.setup.tick.as_secs(), spec.target.tick.as_secs()), (seconds, seconds));
    }
}

#[test]
fn the_engine_decides_family_kv_and_gpu() {
    let rows = [
        ("vllm", Family::Llm, true, Some(0.7), None),
        ("sglang", Family::Llm, true, Some(0.7), None),
        ("tgi", Family::Llm, false, None, None),
        ("trtllm", Family::Llm, true, Some(0.7), None),
        ("dynamo", Family::Llm, false, None, None),
        ("lmdeploy", Family::Llm, true, Some(0.7), None),
        ("nim", Family::Llm, true, Some(0.7), None),
        ("ray", Family::Llm, true, Some(0.7), None),
        ("triton", Family::Llm, false, None, None),
        ("llamacpp", Family::Llm, false, None, None),
        ("gpu", Family::Gpu, false, None, Some(0.8)),
    ];
    for (engine, family, has_kv, kv_cache, gpu) in rows {
        let Spec { target, setup, .. } = read(&[("engine", engine)]).unwrap();
        assert_eq!((setup.family, setup.has_kv), (family, has_kv), "{engine}");
        assert_eq!(setup.targets.kv_cache.map(|ratio| ratio.get()), kv_cache, "{engine}");
        assert_eq!(setup.gpu.utilization.map(|ratio| ratio.get()), gpu, "{engine}");
        assert_eq!(target.gpu, gpu.is_some(), "{engine}");
    }
    let triton = setup(&[("engine", "triton"), ("kvCache", "0.8")]);
    assert!(triton.has_kv, "who gives a target says that there is a gauge");
    let faults = read(&[("engine", "tgi"), ("kvCache", "0.8")]).unwrap_err();
    assert!(faults.to_string().contains("is not readable with engine: tgi"), "{faults}");
    let custom =
        setup(&[("engine", "custom"), ("signals", "[{name: q, query: sum(q), target: 5}]")]);
    assert_eq!(
        (custom.family, custom.has_kv, custom.own[0].role),
        (Family::Custom, false, OwnRole::Demand)
    );
}

#[test]
fn a_wake_path_is_any_place_where_demand_shows() {
    let signal = "[{name: q, query: sum(q), role: activation}]";
    let rows: [(&[(&str, &str)], bool); 6] = [
        (&[], false),
        (&[("gateway", "keda-http")], true),
        (&[("activationQuery", "sum(held)")], true),
        (&[("activationEndpoints", "http://gateway:9090/metrics")], true),
        (&[("signals", signal)], true),
        (&[("signals", "[{name: q, query: sum(q), target: 5}]")], false),
    ];
    for (pairs, expected) in rows {
        assert_eq!(setup(pairs).wake_path, expected, "{pairs:?}");
    }
}

#[test]
fn the_forecast_and_the_calendar_act() {
    let pairs = [
        ("quantile", "p99"),
        ("forecastHistory", "7d"),
        ("timezone", "Europe/Berlin"),
        ("holidays", "2026-12-25"),
        ("instanceBounds", "[{start: 0 8 * * *, end: 0 9 * * *, desiredReplicas: 2}]"),
        ("headroomTrusted", "0.9"),
        ("coldStartCost", "10m"),
        ("scaleStrategy", "proactive"),
        ("scaleUpForward", "180"),
    ];
    let spec = read(&pairs).unwrap();
    let Setup { forecast, strategy, calendar, .. } = spec.setup;
    assert_eq!(forecast.quantile, 0.99);
    assert_eq!(forecast.zone.name(), "Europe/Berlin");
    assert_eq!(forecast.history, Duration::from_secs(7 * 86_400));
    assert_eq!(forecast.holidays.len(), 1);
    assert_eq!(forecast.headroom_trusted.get(), 0.9);
    assert_eq!(forecast.cold_start_cost, Some(Duration::from_mins(10)));
    assert_eq!((strategy, calendar.entries().len()), (Strategy::Proactive, 1));
}

/// What the user fixed does not give way to the bill.
#[test]
fn margin_and_quantile_give_way_unless_they_are_fixed() {
    let rows = [
        (None, Thrift::MarginAndQuantile, 0.7),
        (Some(("headroom", "0.8")), Thrift::MarginAndQuantile, 0.8),
        (Some(("quantile", "95")), Thrift::Margin, 0.7),
        (Some(("headroomTrusted", "0.9")), Thrift::None, 0.9),
    ];
    for (pair, thrift, trusted) in rows {
        let pairs: Vec<_> = pair.into_iter().collect();
        let forecast = read(&pairs).unwrap().setup.forecast;
        assert_eq!(
            (forecast.thrift, forecast.headroom_trusted.get()),
            (thrift, trusted),
            "{pair:?}"
        );
    }
}

/// What stands behind `key: |` in a page, without its indentation.
fn block(page: &str, key: &str) -> String {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (_, rest) = text.split_once(&format!("\n{key}: |\n")).unwrap_or_default();
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    lines.map(|line| format!("{}\n", &line[2..])).collect()
}

#[test]
fn the_bounds_that_the_pages_show_are_understood() {
    let zone = ("timezone", "Europe/Berlin");
    let rows = [
        (
            "schedule.md",
            "4..15 in * 8-19 ? * MON-FRI, ..2 in * 20-23,0-7 * * * Europe/Berlin; 6.. from 30 1 * * * \
             to 0 3 * * * America/New_York",
        ),
        (
            "metadata.md",
            "4..15 in * 8-19 ? * MON-FRI Europe/Berlin; 6.. from 0 6 * * 1-5 to 0 8 * * 1-5 \
             Europe/Berlin",
        ),
    ];
    for (page, expected) in rows {
        let spec = read(&[zone, ("instanceBounds", &block(page, "instanceBounds"))]).unwrap();
        let shown = spec.settings().into_iter().find(|(key, _)| *key == "instanceBounds");
        assert_eq!(shown.unwrap().1.as_deref(), Some(expected), "{page}");
    }
}

#[test]
fn every_key_has_a_setting_and_the_settings_read_back() {
    let spec =
        read(&[("queueDepth", "5"), ("gateway", "ray"), ("selector", "a=~\"b.*\"")]).unwrap();
    let settings = spec.settings();
    let names: Vec<&str> = settings.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, keys().iter().map(|key| key.name).collect::<Vec<_>>());
    let again: BTreeMap<String, String> =
        settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let again = parse("team-a", "llama", &again, &Limits::default()).unwrap();
    assert_eq!(again.setup, spec.setup);
    assert_eq!(again.target, spec.target);
    assert_eq!(again.forecast, spec.forecast);
}

#[test]
fn no_hostile_address_is_an_endpoint_or_a_datasource() {
    assert!(HOSTILE.len() >= 60);
    for key in ["endpoints", "activationEndpoints", "datasource"] {
        for url in HOSTILE {
            let faults = read(&[(key, url)]).expect_err(url);
            assert_eq!(faults.0.len(), 1, "{key} {url}: {faults}");
            assert_eq!(faults.0[0].key, key);
            let text = faults.to_string();
            assert!(!text.contains("canary") && !text.contains('\n'), "{text}");
        }
        let list = format!("http://vllm:8000/m,{}", HOSTILE[0]);
        assert!(read(&[(key, &list)]).is_err(), "one bad page is enough");
    }
    for name in ["127.1", "0x7f.1", "169.254.169.254", "2130706433", "kubernetes.default", "a:b"] {
        assert!(read(&[("datasource", name)]).is_err(), "{name}");
    }
}

#[test]
fn a_path_is_never_a_value() {
    let keys =
        ["engine", "profile", "workload", "hpa", "selector", "datasource", "gateway", "timezone"];
    for key in keys {
        for path in ["../../etc/passwd", "/proc/self/environ", "/var/run/secrets/token"] {
            assert!(read(&[(key, path)]).is_err(), "{key} {path}");
        }
    }
}

/// Each row is one set of metadata; the golden file has the text that users see for it.
const WRONG: &[&[(&str, &str)]] = &[
    &[("engine", "vlm")],
    &[("engine", "ollama")],
    &[("engine", "custom")],
    &[("engine", "custom"), ("signals", "[{name: a, query: x, target: 1, role: latency}]")],
    &[("engine", "gpu"), ("queueDepth", "5"), ("kvCache", "0.7"), ("ttft", "1s")],
    &[("engine", "gpu"), ("requestRate", "5")],
    &[("profile", "llama")],
    &[("workload", "daemonset/x")],
    &[("workload", "Not_A_Name")],
    &[("hpa", "A")],
    &[("selector", "job=vllm")],
    &[("selector", "job~vllm")],
    &[("selector", "__name__=\"up\"")],
    &[("selector", "pod=~\"(\"")],
    &[("selector", "pod=~\"(?:a{1000}){1000}\"")],
    &[("datasource", "http://prometheus:9090")],
    &[("serverAddress", "http://prometheus:9090")],
    &[("prometheusAddress", "http://prometheus:9090")],
    &[("query", "up"), ("threshold", "5")],
    &[("endpoints", "https://vllm:8000/metrics")],
    &[("endpoints", "dns://vllm/metrics")],
    &[("endpoints", "dns://vllm.other:8000/metrics")],
    &[("endpoints", "http://127.0.0.1:8000/metrics")],
    &[("endpoints", "http://127.1:8000/metrics")],
    &[("endpoints", "http://10.0.0.5:10250/metrics")],
    &[("queueDepth", "0")],
    &[("queueDepth", "five")],
    &[("tokenRate", "70%")],
    &[("kvCache", "85")],
    &[("kvCache", "full")],
    &[("gpuUtilization", "120%")],
    &[("ttft", "0")],
    &[("ttft", "fast")],
    &[("requestLatency", "2h")],
    &[("latencyQuantile", "100")],
    &[("latencyQuantile", "p20")],
    &[("gpuPower", "600")],
    &[("gpuPower", "600kW")],
    &[("signals", "name: x")],
    &[("signals", "[{name: A, query: 'sum(', target: 0, role: x, total: y}]")],
    &[("signals", "[{name: a, target: 1, treshold: 2, query: x}]")],
    &[("signals", "[{name: a, target: 1, target: 2, query: x}]")],
    &[("activation", "-1")],
    &[("gateway", "traefik")],
    &[("gateway", "litellm")],
    &[("engine", "tgi"), ("kvCache", "0.8")],
    &[("gatewaySelector", "a=\"b\"")],
    &[("activationQuery", "sum(x")],
    &[("idleAfter", "1s")],
    &[("activationTimeout", "2d")],
    &[("coldStartCost", "dear")],
    &[("scaleStrategy", "predictive")],
    &[("quantile", "10")],
    &[("scaleUpForward", "soon")],
    &[("forecastHistory", "90d")],
    &[("timezone", "Europe/Berln")],
    &[("holidays", "25.12.2026")],
    &[("instanceBounds", "- bounds:\n  - cron: * 0-8 ? * MON-FRI\n    minReplicas: 4")],
    &[("instanceBounds", "[{bounds: [{cron: '* 0-8 ? * 2-6', minReplicas: 4}]}]")],
    &[("instanceBounds", "[{bounds: [{cron: '0 0 31 2 *', minReplicas: 4}]}]")],
    &[("instanceBounds", "[{start: 0 8 * * *, bounds: []}]")],
    &[("minReplicas", "5"), ("maxReplicas", "2")],
    &[("maxReplicas", "0")],
    &[("maxReplicas", "5000")],
    &[("headroom", "0")],
    &[("headroom", "0.9"), ("headroomTrusted", "0.8")],
    &[("onNoData", "error")],
    &[("hpaTolerance", "10")],
    &[("hpaTolerance", "60%")],
    &[("tick", "1s")],
    &[("tick", "")],
    &[("queueDeph", "5")],
    &[("frobnicate", "canary")],
    &[("model", "a\nb")],
    &[("model", "x"), ("modelFromEnv", "canary")],
    &[("gpuPowerFromEnv", "canary")],
    &[("signalsFromEnv", "[{name: canary, query: '('}]")],
];

#[test]
fn the_text_of_every_fault_is_as_reviewed() {
    let mut page = String::new();
    for pairs in WRONG {
        let faults = read(pairs).expect_err("each row is wrong");
        let given: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key}={}", value.escape_debug())).collect();
        writeln!(page, "{}", given.join(" ")).unwrap();
        for fault in &faults.0 {
            let text = fault.to_string();
            assert!(text.chars().count() < 200, "{text}");
            writeln!(page, "  {text}").unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/faults.txt");
    #[expect(clippy::disallowed_methods, reason = "the switch that renews golden files")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(page == golden, "run with UPDATE_GOLDEN=1 and review the change:\n{page}");
}

#[test]
fn all_faults_come_at_once_in_one_short_line() {
    let mut all = BTreeMap::new();
    for pairs in WRONG.iter().filter(|pairs| pairs.len() == 1) {
        all.extend(metadata(pairs));
    }
    let faults = parse("team-a", "llama", &all, &Limits::default()).unwrap_err();
    assert!(faults.0.len() > 30, "{}", faults.0.len());
    let text = faults.to_string();
    assert!(text.chars().count() <= 1000, "{}", text.chars().count());
    assert!(text.ends_with(" more") && !text.contains('\n'), "{text}");
}

#[test]
fn a_value_from_the_environment_shows_nowhere() {
    let wrong: Vec<(String, &str)> =
        keys().iter().map(|key| (format!("{}FromEnv", key.name), "canary canary")).collect();
    let wrong: BTreeMap<String, String> =
        wrong.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    let faults = parse("team-a", "llama", &wrong, &Limits::default()).unwrap_err();
    for fault in &faults.0 {
        assert!(!format!("{fault} {fault:?}").contains("canary"), "{fault:?}");
    }
    assert!(!format!("{faults} {faults:?} {:?}", Redacted(&wrong)).contains("canary"));

    let right = [
        ("modelFromEnv", "canary"),
        ("selectorFromEnv", "job=\"canary\""),
        ("activationQueryFromEnv", "canary"),
        ("signalsFromEnv", "[{name: canary, query: canary, target: 1}]"),
        ("holidaysFromEnv", "2026-12-25"),
    ];
    let spec = read(&right).unwrap();
    assert_eq!(spec.target.model.as_deref(), Some("canary"), "it is used");
    let everything = format!("{spec:?} {:#?}", spec.settings());
    assert!(!everything.contains("canary"), "{everything}");
    let shown = format!("{:?}", Redacted(&metadata(&[("tick", "5s"), ("password", "canary")])));
    assert_eq!(shown, "{\"password\": \"(hidden)\", \"tick\": \"5s\"}");
}

#[test]
fn namespace_and_name_are_kubernetes_names() {
    for (namespace, name) in [("team a", "x"), ("", "x"), ("team.a", "x"), ("a", ""), ("a", "X")] {
        assert!(
            parse(namespace, name, &BTreeMap::new(), &Limits::default()).is_err(),
            "{namespace}"
        );
    }
}

proptest::proptest! {
    /// Whatever the value, the answer is a spec or short faults about that key.
    #[test]
    fn no_value_of_any_key_panics(idx in 0..44_usize, value in "\\PC{0,60}|[0-9.a-z%:/,-]{1,30}") {
        let name = keys()[idx].name;
        if let Err(faults) = read(&[(name, &value)]) {
            let text = faults.to_string();
            proptest::prop_assert!(text.chars().count() <= 1000 && !text.contains('\n'));
            proptest::prop_assert!(faults.0.iter().any(|fault| fault.key.starts_with(name)
                || fault.key == "signals"));
        }
    }

    /// Lists of YAML in particular.
    #[test]
    fn no_list_panics(value in "[-\\[\\]{}a-z:,'\"0-9 \n*&!|>]{0,120}") {
        for name in ["signals", "instanceBounds"] {
            let _ = read(&[(name, &value)]);
        }
    }
}
