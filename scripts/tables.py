#!/usr/bin/env python3
"""What the forecast is worth: prescale-auto beside the best-tuned reactive policy and the clairvoyant.

For each trace of counts and each cold start: `prescale backtest --sweep`, all policies in the same
world with the same arrivals. Prints a Markdown table; docs/pre-scaling.md says how to read it.

    scripts/tables.py PRESCALE TRACE... [--cold-start 100s,600s] [--seeds 2] [--requests 400000] [--shuffle days]

--shuffle days puts the days of a trace in another order, --shuffle hours those of every day by itself: the
first leaves no week, the second no day either.
"""

import argparse
import csv
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
POLICIES = ["prescale-reactive", "prescale-auto", "oracle"]
TARGET = 0.99


def total(path):
    """The sum of a trace of counts; a blank value is a gap."""
    with gzip.open(path, "rt") as file:
        rows = csv.DictReader(file)
        column = "requests" if "requests" in rows.fieldnames else "value"
        return sum(float(row[column]) for row in rows if row[column].strip())


def shuffled(path, what):
    """A copy of the trace with its days, or the hours within each day, in another order; always the same."""
    draw = random.Random(1)
    with gzip.open(path, "rt") as file:
        head, *rows = csv.reader(file)
    step = float(rows[1][0]) - float(rows[0][0])

    def pieces(rows, seconds):
        length = round(seconds / step)
        return [rows[at:at + length] for at in range(0, len(rows), length)]

    def mixed(whole):
        # A last piece that is not whole stays where it is.
        fixed = [whole.pop()] if len(whole[-1]) < len(whole[0]) else []
        return [row for piece in draw.sample(whole, len(whole)) + fixed for row in piece]

    days = pieces(rows, 86_400)
    values = mixed(days) if what == "days" else [r for day in days for r in mixed(pieces(day, 3600))]
    copy = tempfile.NamedTemporaryFile("wt", suffix=".csv", newline="")
    table = csv.writer(copy)
    table.writerow(head)
    table.writerows([time[0], *value[1:]] for time, value in zip(rows, values))
    copy.flush()
    return copy


def run(options, path, cold_start):
    scale = options.requests / total(path)
    copy = shuffled(path, options.shuffle) if options.shuffle else None
    trace = copy.name if copy else path
    command = [options.prescale, "backtest", "--trace", trace, "--rate-scale", repr(scale)]
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
        tuned = f"{auto:.0f} ({auto / reactive - 1:+.1%})" if auto else "never"
        closed = f"{(reactive - auto) / (reactive - oracle):.0%}" if auto else "-"
        cells += [f"{reactive:.0f}", tuned, f"{oracle:.0f}", f"{gap:.3f}", closed]
    cells += [f"{missed[0]:.2f} -> {missed[1]:.2f}", f"{hours[1] / hours[0] - 1:+.1%}"]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prescale")
    parser.add_argument("trace", nargs="+")
    parser.add_argument("--cold-start", default="100s,420s,600s")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=400_000)
    parser.add_argument("--shuffle", choices=["days", "hours"])
    options = parser.parse_args()
    print("| trace | cold start | reactive, tuned | auto, tuned | oracle | G | closed | missed %, default | GPU-h, default |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in options.trace:
        for cold_start in options.cold_start.split(","):
            name = pathlib.Path(path).name.removesuffix(".csv.gz")
            name += f", shuffled {options.shuffle}" if options.shuffle else ""
            print(row(name, cold_start, run(options, path, cold_start)), flush=True)


if __name__ == "__main__":
    main()
