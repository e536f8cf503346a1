#!/usr/bin/env python3
"""prescale's forecaster beside Python's forecasting libraries: same series, origins, loss.

    compare.py FILE...              all models, all days after the warm-up
    compare.py --days 2 FILE...     the last two days only
    compare.py --models prescale    prescale again; the libraries' results of before stay

Results of the libraries are kept day by day (`--work`), so a run that was ended goes on, and more
days or another binary of prescale cost only what is new. Exit code 1: prescale's own last+conformal
and the one here differ by more than 1 %, so the two do not score the same thing and no table is
worth reading.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

# One core: the libraries' own threads would take all there are, and their times would mean little.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import loss  # noqa: E402  the libraries below read the variables above when they are loaded
import models  # noqa: E402
import peer  # noqa: E402
import report  # noqa: E402
import series as recorded  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PRESCALE = "prescale"
# Of a file in a folder of traces: less has no week, and too few days after the warm-up.
DAYS_MIN = 7


def main():
    options = parse_options()
    if options.self_test:
        loss.self_test()
        print("self-test: ok")
        return 0
    loss.self_test()
    chosen = series_of(options)
    if options.series:
        chosen = [one for one in chosen if any(word in one.name for word in options.series)]
    if not chosen:
        sys.exit(f"compare: no series is left, --series {options.series}")
    options.work.mkdir(parents=True, exist_ok=True)
    kept = Kept(options.work / "forecasts.jsonl")
    forecast_all(chosen, options, kept)
    own = peer.load(options.work / "prescale.json")
    if PRESCALE in options.models:
        for one in chosen:
            own[peer.key(one, options)] = peer.score(one, options)
            peer.save(options.work / "prescale.json", own)
    table = report.build(chosen, options, lambda model, one: gather(model, one, options, kept), own)
    (options.work / "results.json").write_text(json.dumps(table, indent=1) + "\n")
    print(report.markdown(table))
    if options.write_docs:
        report.write_docs(ROOT / "docs" / "forecast-comparison.md", table)
    for fault in table["disagreements"]:
        tell(fault)
    return 1 if table["disagreements"] else 0


def parse_options():
    """Flags; the environment names the traces where no file is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="CSV, plain or gzip'd; without any, those of the\n"
        "folder $PRESCALE_TRACES, else a synthetic series",
    )
    names = [PRESCALE, *models.MODELS]
    parser.add_argument(
        "--models",
        type=lambda text: text.split(","),
        default=names,
        metavar="NAME,...",
        help=f"which to run, of {','.join(names)} (all)",
    )
    parser.add_argument(
        "--series",
        type=lambda text: text.split(","),
        metavar="WORD,...",
        help="only series with one of these in their name",
    )
    parser.add_argument("--days", type=int, metavar="N", help="score the last N days only")
    parser.add_argument(
        "--warmup-days", type=float, default=3, metavar="N", help="nothing is scored before (3)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "target" / "compare",
        metavar="DIR",
        help="kept results (target/compare)",
    )
    parser.add_argument(
        "--prescale",
        default=os.environ.get("PRESCALE_BIN", "prescale"),
        metavar="FILE",
        help="the binary ($PRESCALE_BIN, else prescale)",
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the tables into docs/forecast-comparison.md",
    )
    parser.add_argument("--self-test", action="store_true", help="check the arithmetic and end")
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in names]
    if unknown:
        parser.error(f"--models: no {', '.join(unknown)}, there are {', '.join(names)}")
    if options.days is not None and options.days < 1:
        parser.error(f"--days {options.days}: want 1 or more")
    return options


def series_of(options):
    """The files asked for, else what fits in $PRESCALE_TRACES, else a synthetic series."""
    folder = os.environ.get("PRESCALE_TRACES")
    try:
        if options.files:
            return [recorded.read(path) for path in options.files]
        paths = sorted(Path(folder).iterdir()) if folder else []
    except (OSError, ValueError) as error:
        sys.exit(f"compare: {error}")
    if not folder:
        tell("no FILE and no $PRESCALE_TRACES: a synthetic series stands in")
        return [recorded.synthetic()]
    found = []
    for path in paths:
        if path.name.endswith((".csv", ".csv.gz")):
            try:
                found.append(recorded.read(path))
                if len(found[-1].values) < DAYS_MIN * recorded.STEPS_PER_DAY - 1:
                    found.pop()
                    tell(f"left out: {path}: shorter than {DAYS_MIN} days")
            except (OSError, ValueError) as error:
                tell(f"left out: {error}")
    return found


def tell(words):
    """To whoever watches; standard output is for the tables."""
    print(f"compare: {words}", file=sys.stderr)


class Kept:
    """Forecasts of days already done, a line of JSON each; the last line may be cut short."""

    def __init__(self, path):
        self.path = path
        self.results = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.results[entry["key"]] = entry["result"]

    def add(self, key, told, result):
        """Kept from here on, also if this process ends in the next moment."""
        self.results[key] = result
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **told, "result": result}) + "\n")


def key(model, one, block):
    """Names a result by everything that it depends on."""
    versions = [metadata.version(package) for package in model.packages]
    parts = [
        model.name,
        model.revision,
        versions,
        one.digest(),
        block.origins,
        loss.HORIZONS,
        loss.LEVELS,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def forecast_all(chosen, options, kept):
    """Runs what is not kept yet, the last day of every series first."""
    wanted = [models.MODELS[name] for name in options.models if name != PRESCALE]
    tasks = [
        (block, one, model)
        for one in chosen
        for block in recorded.blocks(one, options.warmup_days, options.days)
        for model in wanted
        if key(model, one, block) not in kept.results
    ]
    tasks.sort(key=lambda task: task[0].index)
    progress = Progress(tasks)
    for block, one, model in tasks:
        begin_s = time.monotonic()
        result = models.timed(model, one, block)
        told = {"model": model.name, "series": one.name, "day": block.index}
        kept.add(key(model, one, block), told, result)
        progress.done(model.name, time.monotonic() - begin_s, f"{one.name}, day {block.index}")


class Progress:
    """One line on stderr: how far, how long still, by what each model has taken so far."""

    def __init__(self, tasks):
        self.left = [model.name for _, _, model in tasks]
        self.total = len(tasks)
        self.taken = {}

    def done(self, name, seconds, what):
        self.left.remove(name)
        self.taken.setdefault(name, []).append(seconds)
        means = {model: sum(all_s) / len(all_s) for model, all_s in self.taken.items()}
        unknown = sum(means.values()) / len(means)
        rest_s = sum(means.get(model, unknown) for model in self.left)
        count = f"{self.total - len(self.left)}/{self.total}"
        line = f"{count}  {rest_s / 60:.0f} min left  {name}: {what} in {seconds:.0f} s"
        end = "\r" if sys.stderr.isatty() and self.left else "\n"
        print(f"{line:<100}", end=end, file=sys.stderr, flush=True)


def gather(model, one, options, kept):
    """All forecasts of a model for a series and the time of each; None while a day is missing."""
    forecasts, cpu_s, reasons = {}, 0.0, []
    for block in recorded.blocks(one, options.warmup_days, options.days):
        result = kept.results.get(key(model, one, block))
        if result is None:
            return None
        forecasts.update(zip(result["origins"], result["rows"], strict=True))
        reasons += [reason for reason in result["reasons"] if reason]
        cpu_s += result["cpu_s"]
    return {"forecasts": forecasts, "cpu_s": cpu_s / max(len(forecasts), 1), "reasons": reasons}


if __name__ == "__main__":
    sys.exit(main())
