#!/usr/bin/env python3
"""Makes run.om.gz and trace.csv of this directory from a recorded run.

    make.py PAGES.jsonl.xz TRACE.csv.gz OUTPUT_DIRECTORY

PAGES has one JSON object a line (`t`, unix seconds; `page`, the exposition as served); TRACE has the
row that the recorder wrote at the same second. Both files come out of the same run, and what is
written here is copied from them, not computed.
"""

import csv
import gzip
import json
import lzma
import sys
from pathlib import Path

EVERY = 5  # of the pages, taken each second
NAMESPACE = "team-a"
POD = "llama-7d9f8b6c5d-x2x4q"

# Family as OpenMetrics names it, type, endings of its samples.
FAMILIES = [
    ("vllm:num_requests_waiting", "gauge", [""]),
    ("vllm:num_requests_running", "gauge", [""]),
    ("vllm:kv_cache_usage_perc", "gauge", [""]),
    ("vllm:cache_config_info", "gauge", [""]),
    ("vllm:engine_sleep_state", "gauge", [""]),
    ("vllm:prompt_tokens", "counter", ["_total"]),
    ("vllm:prompt_tokens_cached", "counter", ["_total"]),
    ("vllm:generation_tokens", "counter", ["_total"]),
    ("vllm:request_success", "counter", ["_total"]),
    ("vllm:admission_rejections", "counter", ["_total"]),
    ("vllm:time_to_first_token_seconds", "histogram", ["_bucket", "_count", "_sum"]),
    ("vllm:e2e_request_latency_seconds", "histogram", ["_bucket", "_count", "_sum"]),
]

# What kube-state-metrics would say of one ready pod: composed, not recorded.
CLUSTER = [
    ("kube_deployment_spec_replicas", 'deployment="llama"'),
    ("kube_deployment_status_replicas_ready", 'deployment="llama"'),
    ("kube_pod_status_phase", f'pod="{POD}",phase="Running"'),
    ("kube_pod_status_ready", f'pod="{POD}",condition="true"'),
]
CLUSTER_EVERY = 15
CLUSTER_OUTLIVES = 900  # seconds after the last page

COLUMNS = ["unix", "load_phase", "client_inflight", "harness_stall", "running", "waiting", "kv_usage"]


def samples(page, names):
    """Lines of `page` that are samples of `names`: name, labels, value."""
    for line in page.splitlines():
        if line.startswith("#") or "{" not in line:
            continue
        name, rest = line.split("{", 1)
        labels, value = rest.rsplit("} ", 1)
        if name in names:
            yield name, labels, value


def engine(pages):
    for family, kind, endings in FAMILIES:
        yield f"# TYPE {family} {kind}"
        names = {family + ending for ending in endings}
        for page in pages:
            for name, labels, value in samples(page["page"], names):
                added = f'namespace="{NAMESPACE}",pod="{POD}",{labels}'
                yield f"{name}{{{added}}} {value} {page['t']:.3f}"


def cluster(begin, end):
    for family, labels in CLUSTER:
        yield f"# TYPE {family} gauge"
        for at in range(begin, end + CLUSTER_OUTLIVES, CLUSTER_EVERY):
            yield f'{family}{{namespace="{NAMESPACE}",{labels}}} 1 {at}'


def main():
    pages_path, trace_path, output = (Path(arg) for arg in sys.argv[1:])
    with lzma.open(pages_path, "rt") as file:
        pages = [json.loads(line) for line in file][::EVERY]
    begin, end = int(pages[0]["t"]), int(pages[-1]["t"])
    lines = [*engine(pages), *cluster(begin, end), "# EOF", ""]
    packed = gzip.compress("\n".join(lines).encode(), mtime=0)
    (output / "run.om.gz").write_bytes(packed)
    with gzip.open(trace_path, "rt") as file:
        rows = list(csv.DictReader(file))[::EVERY]
    assert [row["unix"] for row in rows] == [f"{page['t']:.3f}" for page in pages]
    columns = COLUMNS + [name for name in rows[0] if name.startswith("ttft_le_")]
    with open(output / "trace.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
