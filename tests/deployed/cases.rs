//! One row per scaled object of the examples and circumstance: what its cluster shows, and the
//! decision that follows, derived beside it.

use prescale::engine::decision::State;
use prescale::engine::observation::Latency;

use crate::cluster::{Gpu, Page, gpu, pod_names, together};

pub(crate) use crate::world::World;

/// A scaled object of an example in a namespace of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The example, without `.yaml`.
    pub(crate) file: &'static str,
    /// The scaled object.
    pub(crate) name: &'static str,
    /// Where it is run; its own namespace, or another one for another circumstance.
    pub(crate) namespace: &'static str,
    /// `maxReplicaCount` of the example, which the HPA takes over.
    pub(crate) max: u32,
    /// Ready pods.
    pub(crate) pods: u32,
    /// What each pod's engine shows, if it shows anything.
    pub(crate) engine: Option<Page>,
    /// What the exporters of the namespace show, with labels of their own.
    pub(crate) exporters: Page,
    /// What a gateway in the namespace shows.
    pub(crate) gateway: Option<Page>,
    /// The state expected.
    pub(crate) state: State,
    /// The replicas expected.
    pub(crate) replicas: u32,
    /// Terms with their replica-equivalents; the first one binds.
    pub(crate) terms: Vec<(&'static str, f64)>,
    /// Latencies that are measured beside it, in seconds.
    pub(crate) latencies: Vec<(Latency, f64)>,
}

macro_rules! data {
    ($name:literal) => {
        Page::of(include_str!(concat!("../data/", $name, ".prom")))
    };
}

/// A server of the version that the examples run: 5 waiting, 12 running, 42.7 % of its KV cache.
fn busy() -> Page {
    data!("deployed/vllm-v1-0.20.2")
}

/// A real server in overload: 28 waiting, 4 running, 73.0 % of its KV cache.
fn overloaded() -> Page {
    data!("prometheus/vllm-live-0.32.0-overload")
}

/// A server without work.
fn idle() -> Page {
    data!("prometheus/vllm-v1-0.33.0-idle")
}

/// llm-d's endpoint picker with one `pool`, in which `held` requests wait.
fn picker(pool: &str, held: f64) -> Page {
    let page = data!("prometheus/llm-d-epp-flow-control-zero-replicas");
    let page = page.renamed("llama-pool", pool);
    // Two flows, under the new names and the old ones.
    ["llm_d_epp", "inference_extension"].into_iter().fold(page, |page, prefix| {
        let flow = |tenant| format!("{prefix}_flow_control_queue_size{{fairness_id=\"{tenant}\"");
        page.set(&flow("default-fairness"), held).set(&flow("tenant-b"), 0.0)
    })
}

/// The interceptor of KEDA's HTTP add-on with `concurrency` requests for one route.
fn interceptor(namespace: &str, route: &str, concurrency: f64) -> Page {
    data!("prometheus/keda-http-add-on-interceptor")
        .renamed("my-ns", namespace)
        .renamed("my-route", route)
        .set("interceptor_request_concurrency", concurrency)
}

/// The GPUs of a case's pods, one each.
fn gpus(namespace: &str, name: &str, all: &[Gpu]) -> Page {
    let pods = pod_names(name, all.len());
    together(pods.iter().zip(all).map(|(pod, one)| gpu(namespace, pod, *one)))
}

fn at(busy: f64) -> Gpu {
    Gpu { busy, memory: (60_000.0, 20_000.0), power: (400.0, 700.0), ..Gpu::default() }
}

fn case(file: &'static str, (namespace, name): (&'static str, &'static str), max: u32) -> Case {
    Case {
        file,
        name,
        namespace,
        max,
        pods: 0,
        engine: None,
        exporters: Page::default(),
        gateway: None,
        state: State::Fresh,
        replicas: 0,
        terms: Vec::new(),
        latencies: Vec::new(),
    }
}

/// All rows.
pub(crate) fn cases() -> Vec<Case> {
    [
        queue(),
        kv_and_tokens(),
        several_signals(),
        gpu_only(),
        two_deployments(),
        own(),
        asleep(),
        held(),
        queues(),
    ]
    .concat()
}

fn queue() -> Vec<Case> {
    let here = |namespace| case("a-vllm-queue", (namespace, "llama-queue"), 8);
    vec![
        // 20 held / 5 waiting per replica = 4; above `activation: 2`.
        Case {
            gateway: Some(picker("llama-queue", 20.0)),
            state: State::Waking,
            replicas: 4,
            terms: vec![("activation", 4.0)],
            ..here("llm")
        },
        // 2 held are not above `activation: 2`. What is held is shown: 2 / 5.
        Case {
            gateway: Some(picker("llama-queue", 2.0)),
            state: State::Asleep,
            terms: vec![("activation", 0.4)],
            ..here("llm-quiet")
        },
        // One pod: 28 waiting / 5 = 5.6 -> 6. KV: 0.7302 / the default 0.7 = 1.043.
        Case {
            pods: 1,
            engine: Some(overloaded()),
            gateway: Some(picker("llama-queue", 0.0)),
            replicas: 6,
            terms: vec![("queue", 5.6), ("kv cache", 1.043)],
            ..here("llm-awake")
        },
    ]
}

fn kv_and_tokens() -> Vec<Case> {
    vec![
        // Two caches 96 % full: 1.92 / 0.85 = 2.259 -> 3.
        Case {
            pods: 2,
            engine: Some(busy().set("vllm:kv_cache_usage_perc", 0.96)),
            replicas: 3,
            terms: vec![("kv cache", 2.259)],
            ..case("b-vllm-kv-cache", ("llm", "llama-kv"), 8)
        },
        // Two pods, each 2000 prompt and 1200 output tokens per second: 6400 / 2500 = 2.56 -> 3.
        // KV: 2 x 0.4272 / 0.7 = 1.2205. The 95th percentile of the time between tokens is observation
        // 855 of 900: 0.025 + 0.025 x (855 - 650) / (890 - 650) = 46.35 ms, within the objective.
        Case {
            pods: 2,
            engine: Some(
                busy()
                    .grow("vllm:prompt_tokens_total", 2000.0)
                    .grow("vllm:generation_tokens_total", 1200.0),
            ),
            replicas: 3,
            terms: vec![("token rate", 2.56), ("kv cache", 1.2205)],
            latencies: vec![(Latency::InterToken, 0.046_35)],
            ..case("c-vllm-token-throughput", ("llm", "llama-tokens"), 8)
        },
    ]
}

fn several_signals() -> Vec<Case> {
    let here = |namespace| case("d-vllm-multi-signal", (namespace, "llama-multi"), 12);
    let gpus = |namespace, busy| gpus(namespace, "llama-multi", &[at(busy), at(busy)]);
    vec![
        // Queue: 2 x 5 waiting / 5 = 2. The 95th percentile of the request is observation 313.5 of 330:
        // 10 + 5 x (313.5 - 282) / (315 - 282) = 14.77 s, above the objective of 5 s; with GPUs at 95 %,
        // above 85 %, that asks for one more than the 2 that are ready.
        Case {
            pods: 2,
            engine: Some(busy()),
            exporters: gpus("llm", 95.0),
            replicas: 3,
            terms: vec![("gpu guard", 3.0), ("queue", 2.0), ("kv cache", 1.2205)],
            latencies: vec![(Latency::Request, 14.77)],
            ..here("llm")
        },
        // The same with GPUs at 50 %: the queue binds, 2.
        Case {
            pods: 2,
            engine: Some(busy()),
            exporters: gpus("llm-calm", 50.0),
            replicas: 2,
            terms: vec![("queue", 2.0), ("kv cache", 1.2205)],
            ..here("llm-calm")
        },
    ]
}

fn gpu_only() -> Vec<Case> {
    let bert = |namespace| case("e-bert-gpu-utilization", (namespace, "bert"), 100);
    let busy =
        Gpu { bandwidth: 0.8, memory: (76_000.0, 4_000.0), power: (650.0, 700.0), busy: 60.0 };
    let busier = Gpu { bandwidth: 0.9, busy: 70.0, ..busy };
    vec![
        // 50 % + 40 % + 30 % = 1.2 / 0.2 = 6.
        Case {
            pods: 3,
            exporters: gpus("nlp", "bert", &[at(50.0), at(40.0), at(30.0)]),
            gateway: Some(interceptor("nlp", "bert", 5.0)),
            replicas: 6,
            terms: vec![("gpu utilization", 6.0)],
            ..bert("nlp")
        },
        // Nothing says what one replica carries of what is held: one.
        Case {
            gateway: Some(interceptor("nlp-asleep", "bert", 5.0)),
            state: State::Waking,
            replicas: 1,
            ..bert("nlp-asleep")
        },
        // Bandwidth: (0.8 + 0.9) / 0.7 = 2.429 -> 3. Memory: 2 x 0.95 / 0.9 = 2.111. Power:
        // 2 x 650 / 700 / 0.95 = 1.955. Utilisation: (0.6 + 0.7) / the default 0.8 = 1.625.
        Case {
            pods: 2,
            exporters: gpus("nlp", "rerank", &[busy, busier]),
            replicas: 3,
            terms: vec![
                ("gpu memory bandwidth", 2.429),
                ("gpu memory", 2.111),
                ("gpu power", 1.955),
                ("gpu utilization", 1.625),
            ],
            ..case("g-gpu-memory-and-power", ("nlp", "rerank"), 6)
        },
    ]
}

fn two_deployments() -> Vec<Case> {
    let file = "f-vllm-gpu-and-tokens";
    vec![
        // 2 x (400 + 250) tokens per second / 500 = 2.6 -> 3; GPUs below 75 %.
        Case {
            pods: 2,
            engine: Some(
                busy()
                    .grow("vllm:prompt_tokens_total", 400.0)
                    .grow("vllm:generation_tokens_total", 250.0),
            ),
            exporters: gpus("llm", "qwen", &[at(50.0), at(50.0)]),
            replicas: 3,
            terms: vec![("token rate", 2.6)],
            ..case(file, ("llm", "qwen"), 6)
        },
        // (150 + 150) / 500 = 0.6, but a GPU at 90 % and a KV cache above its target (0.7302 / 0.7 =
        // 1.043 > 1 ready) agree: one more than is ready.
        Case {
            pods: 1,
            engine: Some(
                overloaded()
                    .grow("vllm:prompt_tokens_total", 150.0)
                    .grow("vllm:generation_tokens_total", 150.0),
            ),
            exporters: gpus("llm", "mistral", &[at(90.0)]),
            replicas: 2,
            terms: vec![("gpu guard", 2.0), ("kv cache", 1.043), ("token rate", 0.6)],
            ..case(file, ("llm", "mistral"), 4)
        },
    ]
}

/// Composed pages of a service, its Kafka exporter, the kubelet and kube-state-metrics.
fn own() -> Vec<Case> {
    let mut page = String::new();
    for pod in pod_names("scoring", 3) {
        let of_pod = format!("namespace=\"ml\",pod=\"{pod}\"");
        let cpu = "container=\"server\",resource=\"cpu\",unit=\"core\"";
        for line in [
            format!("http_requests_total{{code=\"200\",{of_pod},service=\"scoring\"}} 5000"),
            format!("http_requests_total{{code=\"500\",{of_pod},service=\"scoring\"}} 1000"),
            format!("container_cpu_usage_seconds_total{{container=\"server\",{of_pod}}} 9000"),
            format!("kube_pod_container_resource_requests{{{of_pod},{cpu}}} 2"),
        ] {
            page.extend([&line, "\n"]);
        }
    }
    for (partition, lag) in [(0, 100), (1, 75)] {
        let of = "consumergroup=\"scoring\",namespace=\"ml\",topic=\"scores\"";
        let line = format!("kafka_consumergroup_lag{{{of},partition=\"{partition}\"}} {lag}\n");
        page.push_str(&line);
    }
    let page = Page::of(&page)
        .grow("http_requests_total{code=\"200\"", 0.9)
        .grow("http_requests_total{code=\"500\"", 0.1)
        .grow("container_cpu_usage_seconds_total", 1.2)
        .with_past();
    // Kafka: (100 + 75) / 50 = 3.5 -> 4. Requests: 3 x (0.9 + 0.1) / 1 = 3. CPU: 1.2 of 2 cores, 0.6 /
    // 0.7 x 3 ready = 2.571. A tenth of the requests fails, twice the target: no term, a slow trim.
    vec![Case {
        pods: 3,
        exporters: page,
        replicas: 4,
        terms: vec![("signal kafka", 3.5), ("signal requests", 3.0), ("signal cpu", 2.571)],
        ..case("h-requests-and-kafka", ("ml", "scoring"), 20)
    }]
}

fn asleep() -> Vec<Case> {
    let here = |namespace| case("i-dev-scale-to-zero", (namespace, "llama-dev"), 1);
    vec![
        // Any request wakes, and `maxReplicas: 1` limits.
        Case {
            gateway: Some(interceptor("dev", "llama-dev", 3.0)),
            state: State::Waking,
            replicas: 1,
            ..here("dev")
        },
        Case {
            gateway: Some(interceptor("dev-quiet", "llama-dev", 0.0)),
            state: State::Asleep,
            ..here("dev-quiet")
        },
        // No work, but not yet for `idleAfter: 10m`. KV: an empty cache asks for nothing.
        Case {
            pods: 1,
            engine: Some(idle()),
            gateway: Some(interceptor("dev-idle", "llama-dev", 0.0)),
            replicas: 1,
            terms: vec![("kv cache", 0.0)],
            ..here("dev-idle")
        },
    ]
}

/// Requests held at zero replicas, of which nothing says what one replica carries: one.
fn held() -> Vec<Case> {
    let gate = "prescale_gate_requests_in_flight{namespace=\"dev\",name=\"coder-dev\",\
                model=\"coder\"} 3\n";
    let rows = [
        ("j-dev-gate", "coder-dev", 2, Page::of(gate)),
        ("k-dev-llm-d", "llama-pool", 4, picker("llama-pool", 5.0)),
        ("l-dev-http-add-on", "chat-dev", 1, interceptor("dev", "chat-dev-http", 3.0)),
    ];
    let woken = |(file, name, max, gateway)| Case {
        gateway: Some(gateway),
        state: State::Waking,
        replicas: 1,
        ..case(file, ("dev", name), max)
    };
    rows.map(woken).to_vec()
}

/// Pages of the exporters of four message queues, composed of the families that the examples read.
fn queues() -> Vec<Case> {
    let batch = "namespace=\"batch\",vhost=\"/\",queue=\"embeddings\"";
    let queue = "namespace=\"ml\",vhost=\"/\",queue=\"documents\"";
    let stream = "namespace=\"ml\",stream_name=\"DOCS\",consumer_name=\"embed\"";
    let topic = "namespace=\"ml\",topic=\"documents\",partition=\"0\"";
    let list = |key| format!("redis_key_size{{namespace=\"ml\",db=\"db0\",key=\"{key}\"}}");
    let kafka = Page::of(&format!(
        "kafka_consumergroup_lag{{{topic},consumergroup=\"embed\"}} 125\n\
         kafka_topic_partition_current_offset{{{topic}}} 9000\n"
    ));
    let (taken, waiting) = (list("docs:taken"), list("docs"));
    // What waits and what is in work, 30 and 20, by 20 for each replica: 2.5. Kafka: 125 / 50.
    let rows = [
        (
            ("m-batch-queue", "batch", "embedder", 8, "signal jobs"),
            format!(
                "rabbitmq_detailed_queue_messages_ready{{{batch}}} 30\n\
                 rabbitmq_detailed_queue_messages_unacked{{{batch}}} 20\n"
            ),
        ),
        (
            ("o-rabbitmq", "ml", "embed-rabbitmq", 20, "signal messages"),
            format!(
                "rabbitmq_queue_messages{{{queue}}} 50\nrabbitmq_queue_messages_ready{{{queue}}} 30\n"
            ),
        ),
        (
            ("p-nats-jetstream", "ml", "embed-nats", 20, "signal pending"),
            format!(
                "jetstream_consumer_num_pending{{{stream}}} 30\n\
                 jetstream_consumer_num_ack_pending{{{stream}}} 20\n"
            ),
        ),
        (
            ("q-redis-list", "ml", "embed-redis", 20, "signal documents"),
            format!("{waiting} 30\n{taken} 20\nredis_up{{namespace=\"ml\"}} 1\n"),
        ),
    ];
    let pages = rows.map(|(example, page)| (example, Page::of(&page)));
    let kafka = kafka.grow("kafka_topic_partition_current_offset", 2.0).with_past();
    let kafka = (("n-kafka", "ml", "embed-kafka", 20, "signal lag"), kafka);
    let fed = |((file, namespace, name, max, term), exporters)| Case {
        pods: 2,
        exporters,
        replicas: 3,
        terms: vec![(term, 2.5)],
        ..case(file, (namespace, name), max)
    };
    pages.into_iter().chain([kafka]).map(fed).collect()
}
