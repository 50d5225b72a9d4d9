"""How the cost grows, one size at a time; what the bounds refuse is kept with its reason."""

import pytest
import workloads
from parts import measure

from numalab import sweep
from numalab.fields import InputError


def _grown(benchmark, build, rounds=11, **how):
    try:
        measure(benchmark, build(), rounds=rounds, **how)
    except InputError as error:
        benchmark.extra_info["refused"] = str(error)
        if not benchmark.stats:
            benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.benchmark(group="memory [GiB]")
@pytest.mark.parametrize("size", [1, 16, 64, 256, 1024, 4096, 16384])
def test_memory(benchmark, size):
    _grown(benchmark, lambda: workloads.walkers(gib=size))


@pytest.mark.benchmark(group="tasks")
@pytest.mark.parametrize("size", [1, 4, 16, 64, 256])
def test_tasks(benchmark, size):
    _grown(benchmark, lambda: workloads.walkers(tasks=size), rounds=3)


@pytest.mark.benchmark(group="VMAs")
@pytest.mark.parametrize("size", [10, 100, 1000, 10_000, 100_000])
def test_vmas(benchmark, size):
    _grown(benchmark, lambda: workloads.walkers(vmas=size), rounds=3 if size < 10_000 else 1)


@pytest.mark.benchmark(group="nodes")
@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_nodes(benchmark, size):
    _grown(benchmark, lambda: workloads.walkers(nodes=size, tasks=16))


@pytest.mark.benchmark(group="replicates")
@pytest.mark.parametrize("size", [1, 4, 16, 64])
def test_replicates(benchmark, size):
    _grown(benchmark, workloads.walkers, rounds=3, replicates=size)


@pytest.mark.benchmark(group="sweep")
def test_sweep(benchmark):
    """Four sizes, two kernels, five replicates: 40 runs of 60 s."""

    def once():
        axes = {"policy": ["linux-6.1", "linux-7.2"], "gib": [1, 4, 16, 64]}
        return sweep.grid(workloads.walkers, axes, replicates=5)

    benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    benchmark.extra_info["runs"] = 40
