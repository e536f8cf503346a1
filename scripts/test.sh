#!/usr/bin/env bash
# All tests of prescale, on a fresh machine with Rust: ./scripts/test.sh
#
# Some suites need more than Rust: a real Prometheus, Chromium for the page of a backtest, and Go for
# KEDA's own client. Prometheus and Chromium are installed where this may be done (apt-get and root).
# What is still missing is skipped, loudly; with CI=true a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

skips=0

# skip WHAT WHY: says so, and in CI gives up.
skip() {
    printf '\n==== SKIPPED: %s: %s ====\n\n' "$1" "$2" >&2
    skips=$((skips + 1))
    if [[ "${CI:-}" == true ]]; then
        echo "with CI=true nothing may be skipped" >&2
        exit 1
    fi
}

# install PACKAGE...: Debian's. That of Prometheus would start one of its own on port 9090;
# policy-rc.d forbids it.
install() {
    echo "installing $*"
    local policy=/usr/sbin/policy-rc.d ours=false
    if [[ ! -e "$policy" ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        ours=true
    fi
    apt-get update -qq || true
    # One by one: that one cannot be had must not keep out the other.
    local package
    for package in "$@"; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" || true
    done
    if [[ "$ours" == true ]]; then rm -f "$policy"; fi
}

has_prometheus() { command -v prometheus >/dev/null; }

# Any of the names that the tests look for.
has_browser() {
    local name
    for name in chromium chromium-browser google-chrome chrome; do
        if command -v "$name" >/dev/null; then return; fi
    done
    return 1
}

# The module says go 1.26.0; from 1.21 on, go fetches the toolchain that a module asks for.
has_go() {
    local version
    command -v go >/dev/null || return 1
    version=$(go env GOVERSION) || return 1
    [[ "$version" =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 21))
}

if command -v apt-get >/dev/null && [[ "$(id -u)" == 0 ]]; then
    missing=()
    has_prometheus || missing+=(prometheus)
    has_browser || missing+=(chromium)
    if ((${#missing[@]} > 0)); then install "${missing[@]}"; fi
fi

has_browser || skip "the page of a backtest in a browser" "no chromium on PATH"
has_prometheus || skip "everything that asks a real Prometheus" "no prometheus on PATH"

cargo test --all-targets --locked
cargo test --doc --locked
cargo build --locked --bin prescale

if ! has_prometheus; then
    skip "KEDA's client against prescale" "no prometheus on PATH"
elif ! has_go; then
    skip "KEDA's client against prescale" "no go (1.21 or later) on PATH"
else
    # The first build compiles KEDA and every cloud SDK that it pulls in: minutes, once.
    echo "building KEDA's client (some minutes the first time)"
    export PRESCALE_BIN="${CARGO_TARGET_DIR:-$PWD/target}/debug/prescale"
    (cd tests/keda && go vet ./... && go test -count=1 -timeout 15m ./...)
fi

if ((skips > 0)); then
    printf '\ntests passed, %d SKIPPED (see above)\n' "$skips"
else
    printf '\nall tests passed, none skipped\n'
fi
