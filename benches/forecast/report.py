"""The comparison as data, as Markdown, and inside docs/forecast-comparison.md."""

import math
import platform
import statistics
from importlib import metadata

import loss
import models
import peer
import series as recorded

# How far prescale's last+conformal may be from the one of `loss`: they are the same by definition.
AGREEMENT = 0.01
BEGIN, END = "<!-- written by `just compare`: begin -->", "<!-- written by `just compare`: end -->"
PACKAGES = ("statsforecast", "prophet", "pmdarima", "statsmodels", "numpy")
UPPER = loss.LEVELS[1:]


def build(chosen, options, gather, own):
    """Everything that the tables say, from forecasts of the libraries and prescale's own words."""
    table = {
        "series": [],
        "days": options.days,
        "warmup_days": options.warmup_days,
        "versions": {package: metadata.version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "disagreements": [],
        "furthest": 0.0,
    }
    for one in chosen:
        table["series"].append(
            one_series(one, options, gather, own.get(peer.key(one, options)), table)
        )
    return table


def one_series(one, options, gather, own, table):
    """One series: by model a row per horizon, how many forecasts failed and what one cost."""
    origins = [
        o
        for block in recorded.blocks(one, options.warmup_days, options.days)
        for o in block.origins
    ]
    base = loss.Scores(one, {origin: loss.last_conformal(one, origin) for origin in origins})
    rows = {
        peer.BASELINE: {
            "horizons": horizons(base, base),
            "failed": base.failed,
            "asked": base.asked,
        }
    }
    for name, model in models.MODELS.items():
        gathered = gather(model, one)
        if gathered is None:
            continue
        scores = loss.Scores(one, gathered["forecasts"])
        rows[name] = {
            "horizons": horizons(scores, base),
            "failed": scores.failed,
            "asked": scores.asked,
            "cpu_s": gathered["cpu_s"],
            "reasons": sorted(set(gathered["reasons"])),
        }
    if own is not None:
        rows[peer.NAME] = own_rows(own["days"]) | {"micros_per_update": own["micros_per_update"]}
        rows[peer.NAME]["everything"] = own_rows(own["everything"])["horizons"]
        baseline = own["days"][peer.BASELINE]
        table["disagreements"] += list(disagreements(one, base, baseline))
        table["furthest"] = max(
            table["furthest"],
            *(abs(row["wql"] / base.wql(position) - 1) for position, row in enumerate(baseline)),
        )
    return {"name": one.name, "steps": len(one.values), "origins": len(origins), "models": rows}


def horizons(scores, base):
    """Of one of the models here."""
    return [
        {
            "horizon_s": seconds,
            "n": scores.targets(position),
            "wql": scores.wql(position),
            "relative": scores.relative(base, position),
            "relative_median": scores.relative(base, position, loss.LEVELS[:1]),
            "coverage": {str(level): share for level, share in scores.coverage(position).items()},
        }
        for position, seconds in enumerate(loss.HORIZONS_S)
    ]


def own_rows(told):
    """Of prescale, by its own scorer; MASE over MASE is the ratio of the losses of the medians."""
    pairs = zip(told[peer.NAME], told[peer.BASELINE], strict=True)
    rows = [
        {
            "horizon_s": mine["horizon_s"],
            "n": mine["n"],
            "wql": mine["wql"],
            "relative": mine["wql"] / base["wql"],
            "relative_median": mine["mase"] / base["mase"],
            "coverage": mine["coverage"],
        }
        for mine, base in pairs
    ]
    return {"horizons": rows, "failed": 0, "asked": rows[0]["n"]}


def disagreements(one, base, told):
    """Where prescale's last+conformal is not the one here: then the two score different things."""
    for position, row in enumerate(told):
        mine = (base.targets(position), base.wql(position))
        theirs = (row["n"], row["wql"])
        if mine[0] != theirs[0] or abs(theirs[1] / mine[1] - 1) > AGREEMENT:
            yield (
                f"{one.name}, {row['horizon_s']:.0f} s: last+conformal is {theirs[1]:.5f} over "
                f"{theirs[0]} targets in prescale, {mine[1]:.5f} over {mine[0]} here"
            )


def markdown(table):
    """All tables, and what they rest on."""
    names = [name for name in (peer.NAME, peer.BASELINE, *models.MODELS) if rows_of(table, name)]
    missing = [name for name in (peer.NAME, *models.MODELS) if name not in names]
    parts = [
        scope(table),
        *accuracy(table, names),
        *coverage(table, names),
        *by_series(table, names),
    ]
    parts += [f"Not run: {', '.join(missing)}."] if missing else []
    parts += [*failures(table, names), *agreement(table, names), *settings(names), versions(table)]
    return "\n\n".join(parts)


def rows_of(table, name):
    """A model's rows of all series; empty unless it ran on every one."""
    rows = [one["models"].get(name) for one in table["series"]]
    return rows if all(rows) else []


def scope(table):
    """What was scored."""
    count = sum(one["origins"] for one in table["series"])
    days = table["days"]
    told = "all days" if days is None else "the last day" if days == 1 else f"the last {days} days"
    return (
        f"{len(table['series'])} series on a grid of {recorded.STEP_S // 60} minutes, {told} of "
        f"each after a warm-up of {table['warmup_days']:g} days (or half of a shorter series): "
        f"{count} origins at whole hours, each with forecasts 5, 10 and 20 minutes ahead at levels "
        f"{', '.join(str(level) for level in loss.LEVELS)}."
    )


def accuracy(table, names):
    """WQL relative to last+conformal, the geometric mean over series."""
    lines = [
        "| model | 5 min | 10 min | 20 min | middle series, 10 min | worst cell "
        "| cells above 1 | point forecast alone, 10 min | time for one forecast |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        rows = rows_of(table, name)
        ratios = [
            [row["horizons"][h]["relative"] for row in rows] for h in range(len(loss.HORIZONS))
        ]
        medians = [row["horizons"][1]["relative_median"] for row in rows]
        every = [ratio for horizon in ratios for ratio in horizon]
        means = " | ".join(f"{geometric(horizon):.3f}" for horizon in ratios)
        worse = f"{sum(ratio > 1 for ratio in every)} of {len(every)}"
        if name == peer.BASELINE:
            worse = "-"
        lines.append(
            f"| {bold(name)} | {means} | {statistics.median(ratios[1]):.3f} | {max(every):.2f} "
            f"| {worse} | {geometric(medians):.3f} "
            f"| {cost(name, rows)} |"
        )
    return [
        "WQL relative to last+conformal (below 1 is better): the geometric mean over series, the "
        "middle of them, and the worst cell (series x horizon):",
        "\n".join(lines),
    ]


def cost(name, rows):
    """Mean over series; of prescale per observed step, of libraries per origin."""
    if name == peer.NAME:
        micros = sum(row["micros_per_update"] for row in rows) / len(rows)
        return f"{micros:.1f} us per update"
    if name == peer.BASELINE:
        return "-"
    return f"{sum(row['cpu_s'] for row in rows) / len(rows):.2f} s"


def coverage(table, names):
    """Share of targets at or below the forecast: mean over series and horizons, and furthest."""
    head = " | ".join(f"p{100 * level:.0f}, mean | p{100 * level:.0f}, furthest" for level in UPPER)
    lines = [f"| model | {head} |", "|---|" + "---|" * (2 * len(UPPER))]
    for name in names:
        cells = []
        for level in UPPER:
            shares = [
                100
                * sum(cell["coverage"][str(level)] for cell in row["horizons"])
                / len(loss.HORIZONS)
                for row in rows_of(table, name)
            ]
            furthest = max(shares, key=lambda share: abs(share - 100 * level))
            cells += [f"{sum(shares) / len(shares):.1f} %", f"{furthest:.1f} %"]
        lines.append(f"| {bold(name)} | {' | '.join(cells)} |")
    return [
        "Coverage, the share of targets at or below the forecast, over all horizons: the mean over "
        "series, and the series that is furthest from what was promised:",
        "\n".join(lines),
    ]


def by_series(table, names):
    """WQL relative to last+conformal ten minutes ahead, a line per series."""
    lines = [f"| series | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for one in table["series"]:
        ratios = {name: one["models"][name]["horizons"][1]["relative"] for name in names}
        best = min(ratios.values())
        cells = [
            f"**{ratio:.3f}**" if ratio == best else f"{ratio:.3f}" for ratio in ratios.values()
        ]
        lines.append(f"| {one['name']} | {' | '.join(cells)} |")
    return ["The same by series, 10 minutes ahead, the best in bold:", "\n".join(lines)]


def failures(table, names):
    """Forecasts that a model could not give: such origins count neither for it nor against it."""
    told = []
    for name in names:
        rows = rows_of(table, name)
        failed, asked = sum(row["failed"] for row in rows), sum(row["asked"] for row in rows)
        if failed:
            reasons = sorted({reason for row in rows for reason in row.get("reasons", [])})
            told.append(
                f"{name} gave no forecast at {failed} of {asked} origins "
                f"({'; '.join(reasons[:3])})."
            )
    return [" ".join(told) if told else "Every model gave a forecast at every origin."]


def agreement(table, names):
    """That the two sides score the same thing."""
    if peer.NAME not in names:
        return []
    count = len(table["series"]) * len(loss.HORIZONS)
    faults = table["disagreements"]
    if faults:
        return [f"**Not comparable**: {'; '.join(faults)}."]
    means = [
        geometric([row["everything"][h]["relative"] for row in rows_of(table, peer.NAME)])
        for h in range(len(loss.HORIZONS))
    ]
    told = " / ".join(f"{mean:.3f}" for mean in means)
    return [
        f"{head_to_head(table, names)}Over all days after the warm-up prescale has {told} at "
        "5 / 10 / 20 minutes.",
        "That both sides score the same: last+conformal of `prescale score` and of the script "
        f"differ by {100 * table['furthest']:.4f} % at most in the {count} cells, over the same "
        "number of targets.",
    ]


def head_to_head(table, names):
    """In how many cells prescale is better than each library."""
    told = []
    for name in [name for name in names if name in models.MODELS]:
        pairs = [
            (mine["relative"], theirs["relative"])
            for one in table["series"]
            for mine, theirs in zip(
                one["models"][peer.NAME]["horizons"], one["models"][name]["horizons"], strict=True
            )
        ]
        told.append(f"{sum(mine < theirs for mine, theirs in pairs)} against {name}")
    count = len(table["series"]) * len(loss.HORIZONS)
    return f"Of the {count} cells prescale is better in {', '.join(told)}. " if told else ""


def settings(names):
    """How each library was used."""
    lines = [f"- **{name}**: {models.TOLD[name]}." for name in names if name in models.TOLD]
    return ["How each was used:", "\n".join(lines)]


def versions(table):
    """Of what computed this."""
    told = ", ".join(f"{package} {version}" for package, version in table["versions"].items())
    return f"Versions: Python {table['python']}, {told}."


def geometric(ratios):
    """Mean of ratios."""
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def bold(name):
    """The product stands out."""
    return f"**{name}**" if name == peer.NAME else name


def write_docs(path, table):
    """Between the marks of the page; what stands around them is written by hand."""
    page = path.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{markdown(table)}\n\n{END}{after}")
