#!/usr/bin/env bash
# What we depend on: licences, banned crates, sources. cargo-deny decides where it is installed
# (deny.toml); without it, the same three questions are asked of `cargo tree` and Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    exec cargo deny --locked check licenses bans sources
fi

failed=0
fault() {
    echo "dependencies: $1" >&2
    failed=1
}

# Every licence in every expression must be on deny.toml's list; crates that offer another licence
# besides are named here whole.
allowed=$(sed -n '/^allow = \[/,/^\]/s/^ *"\(.*\)".*/\1/p' deny.toml)
[[ -n "$allowed" ]] || fault "found no licences in deny.toml"
offered="MIT OR Apache-2.0 OR LGPL-2.1-or-later"
while IFS= read -r expression; do
    if [[ "$expression" == "$offered" ]]; then continue; fi
    words=${expression//[()\/]/ }
    words=${words// OR / }
    words=${words// AND / }
    words=${words// WITH LLVM-exception/}
    for word in $words; do
        if ! grep -qxF "$word" <<<"$allowed"; then fault "licence $word of \"$expression\" is not allowed"; fi
    done
done < <(cargo tree --locked --target all --edges normal,build,dev --prefix none --format '{l}' |
    sed 's/ (\*)$//' | sort -u)

for crate in openssl openssl-sys native-tls; do
    if grep -qx "name = \"$crate\"" Cargo.lock; then fault "$crate is banned"; fi
done
if cargo tree --locked --target all --edges normal,build --invert ring >/dev/null 2>&1 &&
    [[ -n "$(cargo tree --locked --target all --edges normal,build --invert ring 2>/dev/null)" ]]; then
    fault "ring is in the product; use aws-lc-rs"
fi

while IFS= read -r source; do
    case "$source" in
    'source = "registry+https://github.com/rust-lang/crates.io-index"') ;;
    *) fault "unknown $source" ;;
    esac
done < <(grep '^source = ' Cargo.lock | sort -u)

if ((failed == 0)); then echo "dependencies: licences, bans and sources are in order"; fi
exit "$failed"
