//! What people and probes look at: health, metrics, the API.
