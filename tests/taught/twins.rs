//! Two whole processes over one real Prometheus, in real time: while load rises and falls and one of them
//! is killed and started again in the middle of it, both say the same.
//!
//! Asked of both in the middle of each tick of five seconds, as KEDA would. The fleet follows the larger
//! answer, with a cold start of 15 s, so that pods are born and go meanwhile. Allowed (DESIGN, "more than
//! one"): one replica apart in one tick of a thousand, which in some forty ticks is none; and never in
//! opposite directions. A tick in which the killed process was not there is no tick of both: what it tells
//! then is its last number, which has to be no lower than before.

use std::time::Duration;

use prescale::clock::Clock;

use crate::fleet::Fleet;
use crate::program::{Program, metadata};
use crate::{config, is_taught, now_ms, told, trigger, until};

/// Milliseconds of a tick.
const TICK: i64 = 5_000;
/// After a tick, it has been decided: half a second is usual where others build at the same time.
const DECIDED: i64 = 3_500;

/// A down-window of a minute, and a few ticks.
const SETTLED: Duration = Duration::from_secs(90);

/// What both said of a tick, if they did.
type Said = [Option<u32>; 2];

async fn ask(program: &Program, trigger: &[(&str, &str)]) -> Option<u32> {
    let told = program.ask(metadata("llm", "chat", trigger)).await.ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number")]
    Some(told.0 as u32)
}

/// Waits until the tick that comes next has been decided.
async fn decided() {
    let now = now_ms();
    let next = (now - DECIDED).div_euclid(TICK) * TICK + TICK + DECIDED;
    tokio::time::sleep(Duration::from_millis((next - now).cast_unsigned())).await;
}

/// Seconds of the epoch of the last tick.
async fn decided_at(program: &Program) -> i64 {
    told(program).await["decidedAtMs"].as_i64().unwrap() / 1000
}

/// What the last number rests on, in one line.
async fn why(program: &Program) -> String {
    let told = told(program).await;
    let lines = told["explanation"].as_array().unwrap().iter();
    let topics = ["decision", "demand", "reason", "forecast", "trust"];
    let lines = lines.filter(|line| topics.contains(&line["topic"].as_str().unwrap()));
    lines.map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>().join("; ")
}

/// Steps of one in which the other went the other way.
fn opposite(said: &[Said]) -> usize {
    let step = |before: Option<u32>, after: Option<u32>| {
        before.zip(after).map_or(0, |(before, after)| i64::from(after) - i64::from(before))
    };
    let steps = said.windows(2).map(|pair| [0, 1].map(|of| step(pair[0][of], pair[1][of])));
    steps.filter(|[one, other]| one * other < 0).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_say_the_same_and_one_is_killed_in_a_burst() {
    let Some(fleet) = Fleet::start().await else { return };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let config = |idx: usize| config(&fleet.prometheus, dirs[idx].path());
    let trigger = trigger("scaleStrategy", "auto");
    let first = Program::start(&config(0), "text").await;
    let mut second = Program::start(&config(1), "text").await;
    let watch = Clock::system();
    let both = [&first, &second].map(|program| until(program, &trigger, is_taught));
    for taught in futures_util::future::join_all(both).await {
        assert_eq!(taught["foreseen"]["counts"], true, "{taught:#}");
    }
    // Who is new goes down after its first minute at the earliest, be it a moment later than the other.
    tokio::time::sleep(SETTLED.saturating_sub(watch.elapsed())).await;
    let mut said: Vec<Said> = Vec::new();
    for tick in 0..40 {
        match tick {
            5 => fleet.load(2.0),
            7 => fleet.load(3.0),
            16 => fleet.load(1.0),
            _ => {}
        }
        if tick == 11 {
            let before = said.last().unwrap()[1];
            // Dropping it kills it.
            drop(second);
            second = Program::start(&config(1), "text").await;
            let watch = Clock::system();
            let answer = ask(&second, &trigger).await;
            assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
            assert!(answer.is_some() && answer >= before, "{answer:?} after {before:?}");
        }
        decided().await;
        let both = [ask(&first, &trigger).await, ask(&second, &trigger).await];
        let wanted = both.iter().flatten().max().map_or(0, |most| usize::try_from(*most).unwrap());
        fleet.scale(wanted.max(1));
        let decided = [decided_at(&first).await, decided_at(&second).await];
        eprintln!("{tick}: {both:?} of {}, {}", fleet.replicas(), decided[0] - decided[1]);
        let away = decided[0] != decided[1];
        assert!(!away || (11..14).contains(&tick), "{tick}: a tick is missing");
        if away {
            assert!(both[1] >= said.last().unwrap()[1], "{both:?} after {said:?}");
            continue;
        }
        if both[0] != both[1] {
            for program in [&first, &second] {
                eprintln!("    {}", why(program).await);
            }
        }
        said.push(both);
    }
    let most = said.iter().flatten().flatten().max().unwrap();
    let (begin, end) = (said[0][0].unwrap(), said.last().unwrap()[0].unwrap());
    assert!(*most > begin + 3 && end < *most, "{begin} {most} {end}: nothing rose or fell");
    assert!(said.iter().flatten().all(Option::is_some), "{said:?}");
    let apart = said.iter().filter(|[one, other]| one != other).count();
    assert_eq!((apart, opposite(&said)), (0, 0), "{said:?}");
}
