# The tasks of this repository; `just` lists them.

default:
    @just --list

# Format, lints and the house rules: a minute, before each commit
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo test --locked --test floors

# All tests
test:
    scripts/test.sh

# What CI runs
ci:
    .ci/run

# Rust benchmarks
bench:
    cargo bench --locked

# prescale beside KEDA's own prometheus scaler, on the same signals
bench-keda:
    cargo build --release --locked --bin prescale
    cd benches/keda && PRESCALE_BIN="${CARGO_TARGET_DIR:-../../target}/release/prescale" go run .

# The forecaster beside Python's libraries, on the traces of $PRESCALE_TRACES; needs Python 3.11
compare *ARGS:
    cargo build --release --locked --bin prescale
    python3 -m venv target/compare/venv
    target/compare/venv/bin/pip install --quiet -r benches/forecast/requirements.txt
    PRESCALE_BIN="${PRESCALE_BIN:-${CARGO_TARGET_DIR:-target}/release/prescale}" \
        target/compare/venv/bin/python -B benches/forecast/compare.py {{ARGS}}

# What takes long or needs the network: advisories, many more random cases, Python's forecasts
nightly:
    command -v cargo-deny || cargo install cargo-deny --locked
    cargo deny --locked check
    PROPTEST_CASES=10000 PRESCALE_CHAOS_SEEDS=10000 PRESCALE_KILL_LOOPS=1000 \
        PRESCALE_FLIP_STEP=1 PRESCALE_STORE_SCALERS=10000 cargo test --release --locked
    just compare

# The real server before a simulated fleet; open http://127.0.0.1:8080
demo:
    cargo run --release --locked -- demo

# The reports under docs/reports, made anew by the release binary: some minutes
reports:
    scripts/reports.sh

# What the forecast is worth beside the best-tuned reactive policy, on traces of counts: an hour
tables *TRACES:
    cargo build --release --locked --bin prescale
    scripts/tables.py "${CARGO_TARGET_DIR:-target}/release/prescale" {{TRACES}}

# Sleeping and waking by cost beside fixed idle timers: a quarter of an hour
idle:
    cargo build --release --locked --bin prescale
    scripts/idle.py "${CARGO_TARGET_DIR:-target}/release/prescale"
