#!/usr/bin/env python3
"""What the forecast is worth: prescale-auto beside the best-tuned reactive policy and the clairvoyant.

For each trace of counts and each cold start: `prescale backtest --sweep`, all policies in the same
world with the same arrivals. Prints a Markdown table; docs/pre-scaling.md says how to read it.

    scripts/tables.py PRESCALE TRACE... [--cold-start 100s,600s] [--seeds 2] [--requests 400000]
"""

import argparse
import csv
import gzip
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
POLICIES = ["prescale-reactive", "prescale-auto", "oracle"]
TARGET = 0.99


def total(path):
    """The sum of a trace of counts; a blank value is a gap."""
    with gzip.open(path, "rt") as file:
        rows = csv.DictReader(file)
        column = "requests" if "requests" in rows.fieldnames else "value"
        return sum(float(row[column]) for row in rows if row[column].strip())


def run(options, path, cold_start):
    scale = options.requests / total(path)
    command = [options.prescale, "backtest", "--trace", path, "--rate-scale", repr(scale)]
    command += ["--profile", str(HERE / "tables" / "slow.yaml"), "--sweep", "-o", "json"]
    command += ["--prompt-tokens", "1000", "--output-tokens", "1000"]
    command += ["--cold-start", cold_start, "--seeds", str(options.seeds)]
    for policy in POLICIES:
        command += ["--policy", policy]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{path}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def cheapest(points):
    """GPU-hours at the target: of a setting that attains it, or between one that does and one that
    does not, in a straight line."""
    attains = [(hours, slo) for hours, slo in points if slo >= TARGET]
    misses = [(hours, slo) for hours, slo in points if slo < TARGET]
    between = [
        low + (high - low) * (TARGET - missed) / (attained - missed)
        for low, missed in misses
        for high, attained in attains
        if high >= low
    ]
    return min([hours for hours, _ in attains] + between, default=None)


def row(name, cold_start, result):
    by_name = {}
    for point in result["sweep"]:
        by_name.setdefault(point["name"], []).append((point["gpu_hours"], point["slo_attainment"]))
    reactive, auto, oracle = (cheapest(by_name[policy]) for policy in POLICIES)
    default = {policy["name"]: policy for policy in result["policies"]}
    missed = [100 * (1 - default[policy]["slo_attainment"]) for policy in POLICIES[:2]]
    hours = [default[policy]["gpu_hours"] for policy in POLICIES[:2]]
    cells = [name, cold_start]
    if reactive is None:
        cells += ["never attained", f"{auto:.0f}" if auto else "never", f"{oracle:.0f}", "-", "-"]
    else:
        gap = 1 - oracle / reactive
        closed = (reactive - auto) / (reactive - oracle) if auto else float("nan")
        cells += [f"{reactive:.0f}", f"{auto:.0f} ({auto / reactive - 1:+.1%})", f"{oracle:.0f}"]
        cells += [f"{gap:.3f}", f"{closed:.0%}"]
    cells += [f"{missed[0]:.2f} -> {missed[1]:.2f}", f"{hours[1] / hours[0] - 1:+.1%}"]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prescale")
    parser.add_argument("trace", nargs="+")
    parser.add_argument("--cold-start", default="100s,420s,600s")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=400_000)
    options = parser.parse_args()
    print("| trace | cold start | reactive, tuned | auto, tuned | oracle | G | closed | missed %, default | GPU-h, default |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in options.trace:
        for cold_start in options.cold_start.split(","):
            name = pathlib.Path(path).name.removesuffix(".csv.gz")
            print(row(name, cold_start, run(options, path, cold_start)), flush=True)


if __name__ == "__main__":
    main()
