"""Valid workloads drawn at random, under all policies and remedies: each run ends, and adds up.

A run that is twice as long may not take much more than twice the time: a hang that grows with
the square of the simulated time is found before it is one.
"""

from __future__ import annotations

import random
import time
from typing import Any

from numalab import engine, remedies
from numalab.dataset import check_invariants
from numalab.fields import InputError
from numalab.policy import POLICIES
from numalab.remedies import REMEDIES
from numalab.workload_file import from_tables
from tests.fuzz import _loop

LIMIT_RATIO = 6.0
"""Of a run that is four times as long, beside one fourth of that."""
SHORTEST_S = 0.5
"""Runs that take less are not compared: a machine that is busy looks like a slow run."""


def _tables(rng: random.Random) -> dict[str, Any]:
    nodes, cpus = rng.choice((1, 2, 4)), rng.choice((1, 2))
    pick = rng.choice
    vmas, tasks = [], []
    for i in range(rng.randrange(1, 4)):
        size = 2 * pick((1, 8, 64, 512, 4096))
        vmas.append({
            "name": f"v{i}", "size_mb": size, "kind": pick(("anon", "anon", "shmem", "file_rw")),
            "first_touch_node": rng.randrange(nodes), "populated": pick((0.0, 0.001, 0.5, 1.0)),
            "policy": pick(("default", "default", "bind", "interleave")),
            "subscriber": pick(("none", "none", "gpu")),
        })  # fmt: skip
        if vmas[-1]["kind"] != "file_rw":
            vmas[-1]["thp"] = rng.random() < 0.3
        vmas[-1]["pinned_fraction"] = pick((0.0, 0.0, vmas[-1]["populated"]))
    for i in range(rng.randrange(1, 5)):
        access = []
        for _ in range(rng.randrange(3)):
            lo = pick((0.0, 0.0, 0.5, 0.999))
            access.append({
                "vma": pick(vmas)["name"], "lo": lo, "hi": 1.0,
                "pattern": pick(("walk", "rand", "hot")),
                "pages_per_s": pick((0.0, 0.0, 1.0, 1e3, 1e6, 1e10)), "write": rng.random() < 0.7,
                "hot_fraction": pick((1e-6, 0.1, 1.0)), "hot_share": pick((0.0, 0.9, 1.0)),
            })  # fmt: skip
        tasks.append({
            "name": f"t{i}", "cpu": pick((-1, rng.randrange(nodes * cpus))),
            "busy": rng.random() < 0.3, "access": access,
        })  # fmt: skip
    churns = [
        {"name": f"c{i}", "size_mb": pick((2, 16)), "lifetime_ms": pick((1, 20, 500)),
         "lifetime": pick(("fixed", "exponential", "lognormal")), "gap_ms": pick((0, 10))}
        for i in range(pick((0, 0, 1, 2)))
    ]  # fmt: skip
    return {
        "workload": {"name": "drawn", "duration_ms": 500.0, "sample_ms": 100.0},
        "machine": {"nodes": nodes, "cpus_per_node": cpus, "memory_mb": 65536},
        "tunables": {"scan_delay_ms": pick((0, 100, 1000)), "scan_period_min_ms": pick((1, 100))},
        "vma": vmas, "task": tasks, "churn": churns,
    }  # fmt: skip


def _took(tables: dict[str, Any], policy: Any, duration_ms: float) -> float:
    head = {**tables["workload"], "duration_ms": duration_ms}
    start = engine.Start(workload=from_tables({**tables, "workload": head}))
    begin = time.thread_time()
    check_invariants(engine.simulate_one(start, policy, 0, 0))
    return time.thread_time() - begin


def one(rng: random.Random) -> str:
    """Simulate a drawn workload twice, the second time for four times as long."""
    tables = _tables(rng)
    added = rng.choice(("", *(f"+{name}" for name in REMEDIES)))
    try:
        policy = remedies.get(rng.choice(list(POLICIES)) + added)
        short = _took(tables, policy, 500.0)
        long = _took(tables, policy, 2000.0)
    except InputError as error:
        return _loop.refusal(error)
    ratio = long / max(short, SHORTEST_S / 4)
    assert long < SHORTEST_S or ratio < LIMIT_RATIO, f"{short:.2f} s, then {long:.2f} s: {tables}"
    return "simulated"


if __name__ == "__main__":
    _loop.main(one)
