"""prescale's own score of the same series: `prescale score` is asked, and what it says is kept.

It scores all days after the warm-up, which also gives the cost of an update; where fewer days are
wanted it is asked again with a longer warm-up. A series shorter than twice its warm-up would be
scored on its second half, so blank lines are put behind it: gaps, which nothing is scored on.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import loss
import series as recorded

NAME = "prescale"
BASELINE = "last+conformal"


def key(one, options):
    """Names a result by series and by what is scored of it."""
    return f"{one.name} {one.digest()} {options.warmup_days} {options.days}"


def load(path):
    """Results kept before."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path, results):
    """Keeps them."""
    path.write_text(json.dumps(results, indent=1) + "\n")


def score(one, options):
    """By horizon of both models: WQL, coverage, MASE and targets; and the cost of an update."""
    warmup = recorded.warmup_steps(one, options.warmup_days)
    with tempfile.TemporaryDirectory() as folder:
        everything = run(write(one, 0, folder), warmup, options)
        first = max(
            warmup, len(one.values) - (options.days or len(one.values)) * recorded.STEPS_PER_DAY
        )
        days = everything
        if first > warmup:
            days = run(write(one, max(0, 2 * first - len(one.values)), folder), first, options)
    return {
        "days": days,
        "everything": everything,
        "micros_per_update": everything[NAME][0]["micros_per_update"],
    }


def write(one, blank, folder):
    """The series as a file: the one that was read, else with blank steps behind it."""
    if blank == 0 and one.path.exists():
        return one.path
    path = Path(folder) / f"{one.name}.csv"
    lines = [f"{one.begin_s(index)},{text(value)}" for index, value in enumerate(one.values)]
    lines += [f"{one.begin_s(len(one.values) + index)}," for index in range(blank)]
    path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    return path


def text(value):
    """A gap is blank."""
    return "" if math.isnan(value) else repr(float(value))


def run(path, warmup, options):
    """What prescale says of a file, by model a row per horizon."""
    command = [options.prescale, "score", str(path), "--format", "json", "--model", NAME]
    command += ["--resample", f"{recorded.STEP_S}s", "--origins", f"{recorded.ORIGIN_EVERY_S}s"]
    command += ["--horizons", ",".join(f"{seconds}s" for seconds in loss.HORIZONS_S)]
    command += ["--quantiles", ",".join(str(level) for level in loss.LEVELS)]
    command += ["--warmup", f"{warmup * recorded.STEP_S}s", "--threads", "1"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"compare: {options.prescale}: {error}; name it by --prescale or $PRESCALE_BIN")
    if told.returncode != 0:
        sys.exit(
            f"compare: {' '.join(command)}: exit code {told.returncode}: {told.stderr.strip()}"
        )
    (scored,) = json.loads(told.stdout)["series"]
    by_model = {}
    for row in scored["models"]:
        kept = ("horizon_s", "n", "wql", "coverage", "mase", "micros_per_update")
        by_model.setdefault(row["name"], []).append({name: row[name] for name in kept})
    for name in (NAME, BASELINE):
        horizons = [row["horizon_s"] for row in by_model.get(name, [])]
        if horizons != list(loss.HORIZONS_S):
            sys.exit(f"compare: {' '.join(command)}: {name} told horizons {horizons}")
    return by_model
