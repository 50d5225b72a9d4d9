"""Whole processes: the start-up of the commands, and the memory of a large run."""

import subprocess
import sys

import pytest
import workloads


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("words", [["--help"], ["simulate", str(workloads.CONVERGE)]],
                         ids=["help", "simulate"])  # fmt: skip
def test_start_up(benchmark, words):
    line = [sys.executable, "-m", "numalab", *words]
    benchmark.pedantic(
        subprocess.run, (line,), {"check": True, "stdout": subprocess.DEVNULL},
        rounds=7, warmup_rounds=1,
    )  # fmt: skip


_PEAK = """
import sys
def peak():  # of this program alone: ru_maxrss also remembers the one that forked it
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])
bare = peak()
sys.path.insert(0, {folder!r})
import workloads
from numalab import policy
from numalab.engine import simulate
simulate(workloads.walkers(gib=1, seconds=1), policy.get("linux-7.2"))
loaded = peak()
simulate(workloads.walkers(gib={gib}), policy.get("linux-7.2"))
print(bare, loaded, peak())
"""


@pytest.mark.benchmark(group="peak memory")
@pytest.mark.parametrize("gib", [64, 1024])
def test_peak_memory(benchmark, gib):
    """Peak RSS: of the bare interpreter, with everything loaded, and after the run."""
    code = _PEAK.format(folder=str(workloads.ROOT / "benchmarks"), gib=gib)
    done = benchmark.pedantic(
        subprocess.run, ([sys.executable, "-c", code],),
        {"check": True, "capture_output": True, "text": True}, rounds=3,
    )  # fmt: skip
    bare, loaded, after = (int(word) / 1024 for word in done.stdout.split())
    benchmark.extra_info |= {"bare_mib": bare, "loaded_mib": loaded, "peak_mib": after}
