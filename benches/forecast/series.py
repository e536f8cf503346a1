"""A recorded series on a coarser grid, and the origins that forecasts are made at.

Given a CSV (plain or gzip'd; `timestamp` and `requests` or `value`; a blank is a gap) it gives the
means of whole steps, as `prescale score --resample` does: a step with more than half of its values
missing is a gap, and a gap is NaN, never 0. Which model forecasts, and how well, is no matter here.
"""

import csv
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEP_S = 300
STEPS_PER_DAY = 86_400 // STEP_S
ORIGIN_EVERY_S = 3_600


@dataclass(frozen=True)
class Series:
    """Means over steps of `STEP_S`; step `i` begins at `start_s + i * STEP_S`."""

    name: str
    path: Path
    start_s: int
    values: np.ndarray

    def begin_s(self, index):
        """Seconds since the epoch at which a step begins."""
        return self.start_s + index * STEP_S

    def known(self, index):
        """Steps up to and including `index`, gaps filled with the value before them.

        The libraries refuse gaps (Prophet apart); prescale and last+conformal never fill any.
        """
        values = self.values[: index + 1]
        positions = np.where(np.isnan(values), 0, np.arange(len(values)))
        filled = values[np.maximum.accumulate(positions)]
        return filled[~np.isnan(filled)]

    def digest(self):
        """Names these very values: results of other values are not theirs."""
        return hashlib.sha256(self.values.tobytes() + str(self.start_s).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Block:
    """Origins of one day, counted back from the series' end, so that more days change none."""

    index: int
    origins: tuple


def read(path):
    """The series of a file on the grid; ValueError says what is wrong with it."""
    path = Path(path)
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else open(path, newline="")
    with opened as file:
        rows = csv.DictReader(file)
        names = rows.fieldnames or []
        column = next((name for name in ("requests", "value") if name in names), None)
        if column is None or "timestamp" not in names:
            raise ValueError(f"{path}: columns {names}, want timestamp and requests or value")
        try:
            pairs = [(int(float(row["timestamp"])), float(row[column] or "nan")) for row in rows]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {rows.line_num}: {error}") from error
    stamps = np.array([stamp for stamp, _ in pairs])
    values = np.array([value for _, value in pairs])
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise ValueError(f"{path}: timestamps must rise, and there must be two of them")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    start_s, means = resample(stamps, values, f"{path}")
    return Series(name, path, start_s, means)


def resample(stamps, values, name):
    """Begin of the first step and the mean of each; steps begin at multiples since the epoch."""
    source_step_s = int(np.median(np.diff(stamps)))
    if source_step_s > STEP_S or STEP_S % source_step_s:
        raise ValueError(f"{name}: a step of {source_step_s} s does not divide {STEP_S} s")
    steps = stamps // STEP_S
    index = steps - steps[0]
    there = ~np.isnan(values)
    counts = np.bincount(index[there], minlength=index[-1] + 1)
    sums = np.bincount(index[there], weights=values[there], minlength=index[-1] + 1)
    full = STEP_S // source_step_s
    means = np.where(2 * counts >= full, sums / np.maximum(counts, 1), np.nan)
    return int(steps[0]) * STEP_S, means


def warmup_steps(series, warmup_days):
    """Steps before the first origin: the warm-up, or half of a series shorter than twice of it."""
    return min(int(warmup_days * STEPS_PER_DAY), len(series.values) // 2)


def blocks(series, warmup_days, days):
    """Origins at whole hours after the warm-up, a block a day, the last day first."""
    count = len(series.values)
    by_day = {}
    for index in range(warmup_steps(series, warmup_days), count):
        day = (count - 1 - index) // STEPS_PER_DAY
        whole_hour = series.begin_s(index) % ORIGIN_EVERY_S == 0
        if whole_hour and (days is None or day < days) and not np.isnan(series.values[index]):
            by_day.setdefault(day, []).append(index)
    return [Block(day, tuple(by_day[day])) for day in sorted(by_day)]


def synthetic():
    """Ten days with a day's course, bursts and noise: for a machine without any recorded series."""
    random = np.random.default_rng(20_261_128)
    count = 10 * STEPS_PER_DAY
    day = 2 * np.pi * np.arange(count) / STEPS_PER_DAY
    level = np.zeros(count)
    for index in range(1, count):
        level[index] = 0.97 * level[index - 1] + random.normal(0, 0.06)
    burst = np.where(random.random(count) < 0.004, 3.0, 0.0)
    rate = 200 * np.exp(0.8 * np.sin(day) + level) * (1 + burst)
    return Series(
        "synthetic", Path("synthetic.csv"), 1_767_225_600, random.poisson(rate).astype(float)
    )
