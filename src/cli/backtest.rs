//! `prescale backtest`: flags to options, the terminal, and the files that are written.
//!
//! Standard output carries the result and nothing else; progress, notes and warnings go to standard
//! error. What is replayed, and how, is left to [`crate::backtest`].

mod parse;
mod tables;
mod words;

use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::ValueEnum;
use console::Term;

use crate::backtest::choose::choose;
use crate::backtest::options::{Options, Replicas, Seeds, Source, Tokens};
use crate::backtest::{self as engine, Outcome, REPLICAS_MAX};
use crate::cli::command::command;
use crate::cli::exit::Exit;
use crate::cli::output::print;
use crate::cli::page::Page;
use crate::cli::progress::Bar;
use crate::engine::replay::policy::POLICIES;
use crate::engine::replay::profile::{ColdStart, Profile, Routing};
use crate::engine::replay::score::Objectives;
use crate::engine::units::{Ratio, Timestamp};
use crate::report::backtest::{html, json, table};

/// Columns of a table that is not looked at in a terminal.
const WIDTH: u16 = 120;

/// Tokens of one request at most: the longest contexts served today have ten million.
const TOKENS_MAX: u32 = 10_000_000;

/// Seeds at most: all that chance has to say.
const SEEDS_MAX: NonZero<u32> = NonZero::<u32>::MIN.saturating_add(999);

/// The largest seed: JSON's numbers are exact up to it.
const SEED_MAX: u64 = 1 << 53;

/// Runs at the same time at most: more than any machine has cores.
const THREADS_MAX: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(4095);

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// How requests are spread over replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spread {
    /// To the replica with the fewest requests
    LeastLoad,
    /// In turns
    RoundRobin,
}

/// What `backtest` is told.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("history").required(true).args([
    "trace", "prometheus_url", "generate", "list_policies", "list_generators", "list_profiles",
]))]
pub(super) struct Args {
    /// Replay this file, plain or gzip'd: a line per request (arrival_ms, prompt_tokens,
    /// output_tokens) or counts per step (timestamp, requests)
    #[arg(long, value_name = "FILE", help_heading = "History")]
    trace: Option<PathBuf>,
    /// Replay what this Prometheus-compatible server remembers
    #[arg(long, value_name = "URL", requires = "query", help_heading = "History")]
    prometheus_url: Option<String>,
    /// The query whose value is arrivals per second, asked in steps of a minute
    #[arg(long, conflicts_with_all = ["trace", "generate"], value_parser = parse::query)]
    #[arg(value_name = "PROMQL", help_heading = "History")]
    query: Option<String>,
    /// How far back
    #[arg(long, default_value = "14d", value_parser = parse::range)]
    #[arg(conflicts_with_all = ["trace", "generate"], allow_hyphen_values = true)]
    #[arg(value_name = "DURATION", help_heading = "History")]
    range: Duration,
    /// Where it ends, such as 2026-01-31T00:00:00Z [default: now]
    #[arg(long, conflicts_with_all = ["trace", "generate"], value_parser = parse::instant)]
    #[arg(value_name = "RFC3339", help_heading = "History")]
    until: Option<Timestamp>,
    /// Replay a made-up history; --list-generators names them
    #[arg(long, value_name = "NAME", help_heading = "History")]
    #[arg(value_parser = words::generators())]
    generate: Option<String>,
    /// Days of a made-up history [default: the generator's own length]
    #[arg(long, conflicts_with_all = ["trace", "prometheus_url"], value_parser = parse::days)]
    #[arg(allow_negative_numbers = true, value_name = "DAYS", help_heading = "History")]
    days: Option<f64>,
    /// What the rate of the history is multiplied by
    #[arg(long, default_value = "1", value_parser = parse::positive)]
    #[arg(allow_negative_numbers = true, value_name = "FACTOR", help_heading = "History")]
    rate_scale: f64,
    /// Prompt tokens of a request where the history does not say [default: 1000, or the
    /// generator's own]
    #[arg(long, value_parser = parse::whole(1, TOKENS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "History")]
    prompt_tokens: Option<u32>,
    /// Output tokens of a request where the history does not say [default: 200, or the generator's
    /// own]
    #[arg(long, value_parser = parse::whole(1, TOKENS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "History")]
    output_tokens: Option<u32>,
    /// Share of each prompt that a warm prefix cache answers
    #[arg(long, default_value = "0", value_parser = parse::share)]
    #[arg(allow_negative_numbers = true, value_name = "SHARE", help_heading = "History")]
    prefix_hit: Ratio,

    /// The engine and its GPUs: one of --list-profiles, or a YAML file
    #[arg(long, default_value = "qwen3-32b-tp2-h100", value_parser = words::profile)]
    #[arg(value_name = "NAME|FILE", help_heading = "World")]
    profile: Profile,
    /// From creation to serving in the mean: a duration, or hot (5s), warm (100s), cold (420s)
    #[arg(long, default_value = "100s", value_parser = parse::cold_start)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "World")]
    cold_start: ColdStart,
    /// Time between two scrapes of a pod, of kube-state-metrics and of the gateway
    #[arg(long, default_value = "15s", value_parser = parse::scrape_interval)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "World")]
    scrape_interval: Duration,
    /// How requests are spread over replicas
    #[arg(long, value_enum, default_value = "least-load", help_heading = "World")]
    routing: Spread,
    /// How long the gateway holds a request while no replica serves; 0: refused at once
    #[arg(long, default_value = "5m", value_parser = parse::hold)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "World")]
    hold: Duration,
    /// Replicas that serve at the beginning [default: the need of the first minute]
    #[arg(long, value_parser = parse::whole(0, REPLICAS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "World")]
    initial_replicas: Option<u32>,
    /// Fewest replicas [default: 1]
    #[arg(long, value_parser = parse::whole(0, REPLICAS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "World")]
    min_replicas: Option<u32>,
    /// Most replicas [default: twice the need of the busiest minute]
    #[arg(long, value_parser = parse::whole(1, REPLICAS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "World")]
    max_replicas: Option<u32>,

    /// Objective: time to first token
    #[arg(long, default_value = "3s", value_parser = parse::objective)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "Goal")]
    ttft: Duration,
    /// Objective: time per output token after the first
    #[arg(long, default_value = "100ms", value_parser = parse::objective)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "Goal")]
    tpot: Duration,
    /// Share of the requests that should meet both
    #[arg(long, default_value = "0.99", value_parser = parse::target)]
    #[arg(allow_negative_numbers = true, value_name = "SHARE", help_heading = "Goal")]
    slo_target: f64,
    /// Money per GPU-hour
    #[arg(long, value_parser = parse::positive, allow_negative_numbers = true)]
    #[arg(value_name = "PRICE", help_heading = "Goal")]
    gpu_price: Option<f64>,

    /// Compare this policy, or all; may be repeated [default: static-peak, keda-queue, hpa-kv, slo-aware,
    /// prescale-reactive, prescale-auto, oracle]
    #[arg(long, value_name = "NAME", value_parser = words::policies())]
    #[arg(help_heading = "Comparison")]
    policy: Vec<String>,
    /// Also run every policy at every setting of its knob
    #[arg(long, help_heading = "Comparison")]
    sweep: bool,
    /// Run a policy at this setting of its knob, such as keda-queue=8; may be repeated
    #[arg(long, value_name = "POLICY=VALUE", value_parser = words::knob)]
    #[arg(help_heading = "Comparison")]
    knob: Vec<(&'static str, f64)>,
    /// Metadata of prescale's trigger, such as kvCache=80%; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::metadata)]
    #[arg(help_heading = "Comparison")]
    metadata: Vec<(String, String)>,
    /// How often each policy is run, with other arrivals and cold starts
    #[arg(long, default_value = "3", value_parser = parse::whole(NonZero::<u32>::MIN, SEEDS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "Comparison")]
    seeds: NonZero<u32>,
    /// The first of the seeds
    #[arg(long, default_value = "1", value_parser = parse::whole(0, SEED_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "Comparison")]
    seed: u64,
    /// Runs at the same time; changes no result [default: one per core]
    #[arg(long, value_parser = parse::whole(NonZero::<usize>::MIN, THREADS_MAX))]
    #[arg(allow_negative_numbers = true, value_name = "N", help_heading = "Comparison")]
    threads: Option<NonZero<usize>>,

    /// How the result is written
    #[arg(short = 'o', long, visible_alias = "output", value_enum, default_value = "table")]
    format: Format,
    /// Also write a page that opens offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    lists: Lists,
}

/// What can be chosen from, instead of a backtest.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Lists {
    /// Print every policy with its source and what is simplified, and end
    #[arg(long)]
    list_policies: bool,
    /// Print every generator, and end
    #[arg(long)]
    list_generators: bool,
    /// Print every profile, and end
    #[arg(long)]
    list_profiles: bool,
}

impl Lists {
    /// What was asked for, if anything.
    fn text(self) -> Option<String> {
        let Self { list_policies, list_generators, list_profiles } = self;
        let tables: [(bool, fn() -> String); 3] = [
            (list_policies, tables::policies),
            (list_generators, tables::generators),
            (list_profiles, tables::profiles),
        ];
        let asked = tables.iter().filter(|(asked, _)| *asked);
        let text: String = asked.map(|(_, table)| table()).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// Examples, below the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  prescale backtest --generate flash-crowd --gpu-price 2.49 --html report.html
  prescale backtest --trace requests.csv.gz --profile qwen3-32b-tp2-h100 --sweep
  prescale backtest --prometheus-url http://prometheus:9090 --range 7d \\
      --query 'sum(rate(vllm:request_success_total{namespace=\"chat\"}[2m]))' \\
      --prompt-tokens 1200 --output-tokens 250 --policy keda-queue --policy prescale-reactive";

/// Runs what was asked for.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    if let Some(text) = args.lists.text() {
        print(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let page = args.html.as_deref().map(Page::at).transpose()?;
    let format = args.format;
    let bar = Bar::new(io::stderr().is_terminal(), "runs");
    let outcome = engine::run(&options(args), &|progress| bar.show(progress));
    bar.end();
    let Outcome { mut backtest, notes, broken } = outcome?;
    backtest.command = command(std::env::args_os().skip(1));
    tell(&notes, &broken);
    // The result is told even where the page cannot be written, and the page written even where
    // nobody reads the result.
    let written = page.map_or(Ok(()), |page| page.write(&html::html(&backtest)));
    let text = match format {
        Format::Table => table::table(&backtest, width()),
        Format::Json => format!("{:#}\n", json::json(&backtest)),
    };
    print(text.as_bytes())?;
    written?;
    Ok(Exit::Done)
}

/// What whoever reads the result should know beside it. Nobody is left to be told when standard
/// error is closed.
fn tell(notes: &[String], broken: &[String]) {
    let lines = notes.iter().map(|note| ("note", note));
    for (kind, text) in lines.chain(broken.iter().map(|text| ("invariant broken", text))) {
        drop(writeln!(io::stderr(), "{kind}: {}", crate::report::one_line(text)));
    }
}

fn options(args: Args) -> Options {
    let source = source(&args);
    Options {
        source,
        tokens: Tokens {
            prompt: args.prompt_tokens,
            output: args.output_tokens,
            cached: args.prefix_hit,
        },
        rate_scale: args.rate_scale,
        profile: args.profile,
        cold_start: args.cold_start,
        scrape_interval: args.scrape_interval,
        routing: match args.routing {
            Spread::LeastLoad => Routing::LeastLoad,
            Spread::RoundRobin => Routing::RoundRobin,
        },
        hold: args.hold,
        objectives: Objectives { ttft: args.ttft, tpot: args.tpot },
        replicas: Replicas {
            initial: args.initial_replicas,
            min: args.min_replicas,
            max: args.max_replicas,
        },
        metadata: args.metadata,
        policies: choose(&args.policy, POLICIES),
        knobs: args.knob,
        slo_target: args.slo_target,
        sweep: args.sweep,
        seeds: Seeds { first: args.seed, count: args.seeds },
        gpu_price: args.gpu_price,
        threads: args.threads.unwrap_or_else(cores),
    }
}

/// One of the three, as the group of flags sees to.
fn source(args: &Args) -> Source {
    match (&args.trace, &args.generate) {
        (Some(file), _) => Source::File(file.clone()),
        (None, Some(name)) => Source::Generator { name: name.clone(), days: args.days },
        (None, None) => Source::Prometheus {
            url: args.prometheus_url.clone().unwrap_or_default(),
            query: args.query.clone().unwrap_or_default(),
            range: args.range,
            until: args.until,
        },
    }
}

/// One where the machine does not say.
fn cores() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Columns of the terminal; a fixed number where there is none, so that equal runs give equal bytes.
fn width() -> u16 {
    let terminal = Term::stdout();
    terminal.size_checked().map_or(WIDTH, |(_, columns)| columns)
}
