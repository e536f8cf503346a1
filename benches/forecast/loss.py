"""Pinball loss, WQL and coverage of forecasts, and the baseline that they are told against.

WQL is twice the mean pinball loss over the mean demand of the same targets, averaged over levels;
coverage is the share of targets at or below the forecast. Both as `prescale score` defines them.
"""

import math

import numpy as np

from series import STEPS_PER_DAY, STEP_S

LEVELS = (0.5, 0.9, 0.95, 0.99)
HORIZONS_S = (300, 600, 1_200)
HORIZONS = tuple(seconds // STEP_S for seconds in HORIZONS_S)


def last_conformal(series, origin):
    """Last value plus the order statistic of a day of that horizon's residuals, at least 0.

    One row per horizon, one column per level. The statistic is the `ceil((n + 1) * level)`-th
    smallest of `n` residuals, and the largest where that is beyond them.
    """
    values = series.values
    rows = []
    for horizon in HORIZONS:
        targets = np.arange(max(origin - STEPS_PER_DAY + 1, horizon), origin + 1)
        residuals = values[targets] - values[targets - horizon]
        residuals = np.sort(residuals[~np.isnan(residuals)])
        count = len(residuals)
        if count == 0:
            return None
        ranks = [min(math.ceil((count + 1) * level - 1e-9), count) for level in LEVELS]
        rows.append([max(0.0, values[origin] + residuals[rank - 1]) for rank in ranks])
    return rows


def pinball(target, forecast, level):
    """What one forecast of a quantile costs: `level` per unit short, `1 - level` per unit over."""
    return np.where(
        target >= forecast, level * (target - forecast), (1 - level) * (forecast - target)
    )


class Scores:
    """Forecasts of one model for one series: what each cost, at which origins."""

    def __init__(self, series, forecasts):
        """`forecasts`: origin to a row per horizon, a column per level; None where it failed."""
        self.failed = sum(1 for rows in forecasts.values() if rows is None)
        self.asked = len(forecasts)
        self.by_horizon = []
        for position, horizon in enumerate(HORIZONS):
            origins = [
                origin
                for origin, rows in sorted(forecasts.items())
                if rows is not None
                and origin + horizon < len(series.values)
                and not np.isnan(series.values[origin + horizon])
            ]
            targets = np.array([series.values[origin + horizon] for origin in origins])
            rows = np.array([forecasts[origin][position] for origin in origins]).reshape(
                -1, len(LEVELS)
            )
            self.by_horizon.append((origins, targets, rows))

    def targets(self, position):
        """How many targets were scored at a horizon."""
        return len(self.by_horizon[position][0])

    def mean_demand(self, position):
        """Of the targets of a horizon."""
        return float(self.by_horizon[position][1].mean())

    def wql(self, position, levels=LEVELS):
        """Of one horizon, over the given levels."""
        _, targets, rows = self.by_horizon[position]
        losses = [pinball(targets, rows[:, LEVELS.index(q)], q).mean() for q in levels]
        return float(2 * np.mean(losses) / targets.mean())

    def coverage(self, position):
        """Share of the targets at or below the forecast, by level."""
        _, targets, rows = self.by_horizon[position]
        return {q: float((targets <= rows[:, column]).mean()) for column, q in enumerate(LEVELS)}

    def relative(self, other, position, levels=LEVELS):
        """WQL over that of `other` at the origins that both have a forecast for."""
        mine, theirs = self.by_horizon[position], other.by_horizon[position]
        common = sorted(set(mine[0]) & set(theirs[0]))
        sums = []
        for origins, targets, rows in (mine, theirs):
            kept = np.isin(origins, common)
            losses = [pinball(targets[kept], rows[kept, LEVELS.index(q)], q).mean() for q in levels]
            sums.append(float(np.mean(losses)))
        return sums[0] / sums[1]


def self_test():
    """Sums that a reader can do by hand."""
    assert abs(float(pinball(10.0, 8.0, 0.9)) - 1.8) < 1e-12
    assert abs(float(pinball(8.0, 10.0, 0.9)) - 0.2) < 1e-12
    from pathlib import Path

    from series import Series

    # Last value 20 and residuals 1..20 of one step ahead: 10.5 -> 11th, 18.9 -> 19th, 20th, 20th.
    steps = np.concatenate([[0.0], np.cumsum(np.arange(1.0, 21.0))])
    rows = last_conformal(Series("test", Path("test"), 0, steps), 20)
    assert rows[0] == [steps[20] + 11, steps[20] + 19, steps[20] + 20, steps[20] + 20], rows[0]
    # Targets 10 and 30, forecast 20 at each level: pinball 5 at 0.5; 1 and 9 at 0.9; and so on.
    flat = Series("test", Path("test"), 0, np.array([20.0, 10.0, 20.0, 30.0, 20.0, 20.0, 20.0]))
    scores = Scores(flat, {0: [[20.0] * 4] * 3, 2: [[20.0] * 4] * 3})
    assert abs(scores.wql(0) - 2 * 5 / 20) < 1e-12, scores.wql(0)
    assert scores.coverage(0)[0.9] == 0.5
