"""Speed of the engine: make bench. Ratios within one run, never a bound in the tests."""

import numpy as np
import pytest

from numalab import build, policy
from numalab.engine import simulate
from numalab.layout import default_setup
from numalab.lifetimes import table
from numalab.loop import run
from numalab.machine import Machine
from numalab.workload import Access, Task, Vma, Workload
from numalab.world import assemble


def walkers(gib):
    """Eight tasks that walk flat out over an eighth of the memory each, for 60 s."""
    return Workload(
        name="walkers",
        duration_ms=60_000,
        machine=Machine(cpus_per_node=4, memory_mb=gib * 1024),
        vmas=tuple(Vma(name=f"v{i}", size_mb=gib * 128, first_touch_node=i % 2) for i in range(8)),
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(Access(vma=f"v{i}"),)) for i in range(8)),
    )


def _world(w):
    rng = np.random.default_rng(0)
    return assemble(w, policy.get("linux-7.2"), default_setup(w), 1 << 12, rng), rng


def _run(w, a, rng):
    n = int(w.duration_ms // w.sample_ms) + 1
    cpus, tasks = w.machine.cpus, len(a.spins)
    run(
        a.world, a.access_ptr, a.spins, a.churns, table(w, rng), 10**6, build.START_JIFFIES,
        build.START_NS, int(w.duration_ms / 4) - 1, int(w.sample_ms * 1e6),
        np.zeros((n, 7), np.int64), np.zeros((n, 1), np.int64), np.zeros(cpus, np.int64),
        np.zeros(cpus), np.zeros(tasks, np.int64), rng,
    )  # fmt: skip


@pytest.mark.parametrize("gib", [1, 64, 1024])
def test_engine_60_s_of_8_walkers(benchmark, gib):
    w = walkers(gib)
    _run(w, *_world(w))
    benchmark.pedantic(lambda a, rng: _run(w, a, rng), setup=lambda: (_world(w), {}), rounds=10)


@pytest.mark.parametrize("gib", [64])
def test_simulate_60_s_of_8_walkers(benchmark, gib):
    w = walkers(gib)
    benchmark.pedantic(lambda: simulate(w, policy.get("linux-7.2")), rounds=5, warmup_rounds=1)
