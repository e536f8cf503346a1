//! The world in which a policy can be tried: requests, replicas, KEDA and the HPA, and what a day of
//! it cost and gave. Pure: arrivals and a seed in, scores and a timeline out.
//!
//! A `request` reaches the `world`: a gateway, and `pod`s with a `replica` inside that batches as vLLM
//! does. `scrape` is all that a policy sees of it: samples, as old as a Prometheus has them. A
//! `policy` names a `law` that answers as a trigger does; the `executor` acts on it as KEDA does, and
//! `hpa` with its exact arithmetic. `run` is the loop of all that, `score` what is told of it.

pub mod actuate;
pub mod demand;
pub mod disturb;
pub mod executor;
pub mod histogram;
pub mod hpa;
pub mod knee;
pub mod law;
pub mod ledger;
pub mod pod;
pub mod policy;
pub mod profile;
pub mod random;
pub mod replica;
pub mod request;
pub mod run;
pub mod score;
pub mod scrape;
pub mod shapes;
pub mod traffic;
pub mod world;
