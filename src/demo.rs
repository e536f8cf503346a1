//! `prescale demo`: the real server in front of a simulated fleet, KEDA and HPA.
