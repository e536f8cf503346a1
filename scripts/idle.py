#!/usr/bin/env python3
"""What sleeping and waking by cost is worth: prescale-auto beside fixed idle timers, one replica or none.

Each row is one `prescale backtest` of a generated history, arrivals the same for all. Prints a Markdown
table; docs/pre-scaling.md says how to read it.

    scripts/idle.py PRESCALE [--days 14] [--seeds 2]
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
TIMERS = ["100s", "5m", "15m", "30m", "45m", "1h", "90m", "2h", "4h", "8h"]
COSTS = ["0s", "30s", "45s", "1m", "2m", "5m", "15m", "30m", "1h", "2h"]
# So that one replica carries it: the question is when it sleeps, not how many there are.
SCALES = {"dev-cluster": 0.2, "on-off": 0.3}


def run(options, shape, policy, metadata):
    command = [options.prescale, "backtest", "--generate", shape, "--days", str(options.days)]
    command += ["--rate-scale", str(SCALES[shape]), "--profile", str(HERE / "tables" / "slow.yaml")]
    command += ["--prompt-tokens", "1000", "--output-tokens", "1000", "--cold-start", "100s"]
    command += ["--min-replicas", "0", "--max-replicas", "1", "--seeds", str(options.seeds)]
    command += ["--policy", policy, "-o", "json"]
    for key, value in metadata.items():
        command += ["--metadata", f"{key}={value}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shape} {policy} {metadata}: {done.stderr.strip()}")
    return json.loads(done.stdout)["policies"][0]


def rows(options, shape):
    for timer in TIMERS:
        yield f"fixed timer {timer}", run(options, shape, "prescale-reactive", {"idleAfter": timer})
    for idle in ["100s", "5m"]:
        for cost in COSTS:
            metadata = {"idleAfter": idle, "coldStartCost": cost}
            yield f"auto, idleAfter {idle}, coldStartCost {cost}", run(options, shape, "prescale-auto", metadata)
    yield "auto as it comes", run(options, shape, "prescale-auto", {})


def beaten(point, others):
    """Whether one of the others has no more of both and less of one."""
    return any(all(b <= a for a, b in zip(point, other)) and other != point for other in others)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prescale")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("| history | sleeps and wakes by | GPU-h | wakes | awaited | pods created | attained | on the front |")
    print("|---|---|---|---|---|---|---|---|")
    for shape in SCALES:
        found = list(rows(options, shape))
        points = [(result["gpu_hours"], result["wakes_awaited"]) for _, result in found]
        for (name, result), point in zip(found, points):
            cells = [shape, name, f"{result['gpu_hours']:.0f}", f"{result['wakes']:.1f}"]
            cells += [f"{result['wakes_awaited']:.1f}", f"{result['cold_starts']:.1f}"]
            cells += [f"{result['slo_attainment']:.2%}", "" if beaten(point, points) else "yes"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
