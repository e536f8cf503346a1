"""The libraries' forecasts: for each origin of a day a row per horizon with a column per level.

A model sees the steps up to its origin and nothing later. What is simplified is said in `TOLD`,
which the table prints. A forecast that raises or is not finite is a failure of that model at that
origin; it is counted and left out, never replaced.
"""

import importlib
import logging
import os
import warnings

import numpy as np

from loss import HORIZONS, LEVELS
from series import STEPS_PER_DAY, STEP_S

# They tell each fit, and that they cannot draw.
for chatty in ("cmdstanpy", "prophet", "prophet.plot"):
    logging.getLogger(chatty).disabled = True

AHEAD = max(HORIZONS)
# The upper ends of these two-sided intervals are the quantiles 0.9, 0.95 and 0.99.
INTERVALS = (80, 90, 98)
WEEK = 7 * STEPS_PER_DAY


def cpu_seconds():
    """Of this process and those it has waited for: Prophet's optimiser is one of its own."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def attempt(forecast):
    """The forecast's rows, at least 0, with None and a reason instead where it fails."""
    try:
        rows = np.asarray(forecast(), dtype=float)
        if rows.shape != (len(HORIZONS), len(LEVELS)) or not np.isfinite(rows).all():
            return None, "not finite"
        return np.maximum(rows, 0.0).tolist(), None
    except Exception as error:  # whatever a library raises is its failure at this origin
        return None, f"{type(error).__name__}: {error}"[:200]


def rows_of_intervals(result):
    """Rows from statsforecast's mean and upper ends."""
    columns = [np.asarray(result["mean"])] + [
        np.asarray(result[f"hi-{size}"]) for size in INTERVALS
    ]
    return [[column[horizon - 1] for column in columns] for horizon in HORIZONS]


class Ets:
    """statsforecast's AutoETS, fitted anew at every origin to all that is known."""

    name = "AutoETS"
    # Of each model: changes with how it is used, and results of the former way are not taken.
    revision = 1
    packages = ("statsforecast",)
    modules = ("statsforecast.models",)

    def forecasts(self, series, origins):
        from statsforecast.models import AutoETS

        def at(origin):
            model = AutoETS(season_length=1, model="ZZN")
            return rows_of_intervals(
                model.forecast(series.known(origin), AHEAD, level=list(INTERVALS))
            )

        return [attempt(lambda origin=origin: at(origin)) for origin in origins]


class Mstl:
    """statsforecast's MSTL, the trend by AutoETS, anew at every origin on all that is known."""

    name = "MSTL"
    revision = 1
    packages = ("statsforecast", "statsmodels")
    modules = ("statsforecast.models",)
    # R's stl looks at every tenth of each window and interpolates; statsmodels looks everywhere
    # unless told, which takes twenty times as long. These are R's steps for the window of the day.
    jumps = {"seasonal_jump": 2, "trend_jump": 51, "low_pass_jump": 29}

    def forecasts(self, series, origins):
        from statsforecast.models import MSTL

        def at(origin):
            known = series.known(origin)
            periods = [STEPS_PER_DAY] + ([WEEK] if len(known) >= 2 * WEEK else [])
            model = MSTL(season_length=periods, stl_kwargs=self.jumps)
            return rows_of_intervals(model.forecast(known, AHEAD, level=list(INTERVALS)))

        return [attempt(lambda origin=origin: at(origin)) for origin in origins]


class Arima:
    """statsforecast's AutoARIMA with the day as Fourier terms, on the last seven days."""

    name = "AutoARIMA"
    revision = 1
    packages = ("statsforecast",)
    modules = ("statsforecast.models",)
    harmonics = (1, 2, 3)

    def terms(self, begin, count):
        day = 2 * np.pi * np.arange(begin, begin + count) / STEPS_PER_DAY
        return np.column_stack([wave(k * day) for k in self.harmonics for wave in (np.sin, np.cos)])

    def forecasts(self, series, origins):
        from statsforecast.models import AutoARIMA

        fitted = {}

        def at(origin):
            known = series.known(origin)[-WEEK:]
            begin = origin + 1 - len(known)
            known_terms = self.terms(begin, len(known))
            if "model" not in fitted:
                fitted["model"] = AutoARIMA(seasonal=False).fit(known, known_terms)
            result = fitted["model"].forward(
                known,
                AHEAD,
                X=known_terms,
                X_future=self.terms(origin + 1, AHEAD),
                level=list(INTERVALS),
            )
            return rows_of_intervals(result)

        return [attempt(lambda origin=origin: at(origin)) for origin in origins]


class ProphetDayWeek:
    """Prophet with day and week, fitted anew at every origin to all that is known."""

    name = "Prophet"
    revision = 1
    packages = ("prophet", "cmdstanpy")
    modules = ("pandas", "prophet")

    def forecasts(self, series, origins):
        import pandas as pd
        from prophet import Prophet

        def at(origin):
            known = series.values[: origin + 1]
            begins = pd.to_datetime(
                series.start_s + STEP_S * np.arange(origin + 1 + AHEAD), unit="s"
            )
            model = Prophet(
                daily_seasonality=True,
                weekly_seasonality=len(known) >= WEEK,
                yearly_seasonality=False,
            )
            model.fit(pd.DataFrame({"ds": begins[: origin + 1], "y": known}), seed=1)
            # Prophet draws from numpy's global state.
            np.random.seed(origin)
            samples = model.predictive_samples(pd.DataFrame({"ds": begins[origin + 1 :]}))["yhat"]
            return [np.quantile(samples[horizon - 1], LEVELS) for horizon in HORIZONS]

        return [attempt(lambda origin=origin: at(origin)) for origin in origins]


class DynamoArima:
    """pmdarima's auto_arima the way NVIDIA Dynamo's planner runs it, on the last day."""

    name = "pmdarima"
    revision = 2
    packages = ("pmdarima",)
    modules = ("pmdarima",)

    def forecasts(self, series, origins):
        import pmdarima

        state = {}

        def at(origin):
            known = series.known(origin)
            if "model" not in state:
                window = known[-STEPS_PER_DAY:]
                if len(set(window)) == 1:
                    return [[window[0]] * len(LEVELS)] * len(HORIZONS)
                state["model"] = pmdarima.auto_arima(
                    window, suppress_warnings=True, error_action="ignore"
                )
            else:
                state["model"].update(known[-(origin - state["origin"]) :])
            state["origin"] = origin
            columns = []
            for size in INTERVALS:
                mean, ends = state["model"].predict(
                    AHEAD, return_conf_int=True, alpha=1 - size / 100
                )
                columns.append(ends[:, 1])
            columns.insert(0, np.asarray(mean))
            return [[column[horizon - 1] for column in columns] for horizon in HORIZONS]

        return [attempt(lambda origin=origin: at(origin)) for origin in origins]


MODELS = {model.name: model for model in (Ets(), Mstl(), Arima(), ProphetDayWeek(), DynamoArima())}

TOLD = {
    "last+conformal": "the last value and a rolling day of its residuals; the unit of the table",
    "AutoETS": "fitted anew at every origin to all history. Without a season: 288 steps a day are "
    "more than ETS takes",
    "MSTL": "anew at every origin on all history. Periods of a day, and of a week from 14 days of "
    "history on; trend by AutoETS; loess at every tenth of its window and between them "
    "interpolated, as R does (0.2 % off at most where it was tried). Its intervals are the trend's",
    "AutoARIMA": "the last 7 days, the day as three Fourier pairs, no seasonal orders. Order and "
    "coefficients chosen once a day, state brought up to date at every origin",
    "Prophet": "day, and week from 7 days of history on; fitted anew at every origin to all "
    "history; quantiles of 1 000 samples",
    "pmdarima": "`auto_arima` as NVIDIA Dynamo's planner uses it (no season, then `update`), with "
    "more than the planner has: order chosen anew each day on the last day, and intervals, where "
    "the planner takes the mean, one step ahead. Without the planner's `log1p` where no dynamics "
    "are found: beside zeros its intervals reach a hundred times too high",
}


def timed(model, series, block):
    """Forecasts of a block: rows or a reason for each origin, and the processor time of all."""
    for module in model.modules:
        importlib.import_module(module)
    begin_s = cpu_seconds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = model.forecasts(series, block.origins)
    return {
        "origins": list(block.origins),
        "rows": [rows for rows, _ in results],
        "reasons": [reason for _, reason in results],
        "cpu_s": round(cpu_seconds() - begin_s, 3),
    }
