"""Both programs: what each refuses, and that they do the same with a workload on real kernels."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import xarray as xr

from numalab import dataset
from numalab.captures import runlog, start
from numalab.captures.run import read_run
from numalab.fields import InputError
from numalab.record.programs import FOREIGN, PROGRAMS, RECORDER, check
from numalab.workload import TASK_POLICIES
from numalab.workload_file import parse
from tests.record import kernels
from tests.record.kernels import GENERATIONS, recorded_on
from tests.record.workloads import BOTH, HEAD, JOBS, MIXED, PACED_MS, WORKLOADS

pytestmark = pytest.mark.timeout(500)  # one of these tests boots a kernel for all


@dataclass(frozen=True)
class Ran:
    """A run of a workload by a program."""

    log: runlog.RunLog
    ds: xr.Dataset

    @property
    def used_ms(self) -> dict[str, float]:
        """CPU time that each thread used in the run."""
        before, after = start.threads(self.log, "start"), start.threads(self.log, "end")
        return {
            name: (after[name].sum_exec_runtime_ns - before[name].sum_exec_runtime_ns) / 1e6
            for name in after
        }

    def cpus(self, task: str, lo_ms: float, hi_ms: float) -> set[int]:
        """CPUs on which a thread was traced between two times."""
        tid = start.threads(self.log, "end")[task].tid
        found = set()
        for line in self.log["trace"].splitlines():
            if match := re.match(rf".*-{tid}\s+\[(\d+)\]\s+\S+\s+([\d.]+): ", line):
                ms = float(match[2]) * 1000 - self.log.start_ns / 1e6
                found |= {int(match[1])} if lo_ms <= ms < hi_ms else set()
        return found


@functools.cache
def _runs_on(generation: str) -> dict[tuple[str, str], Ran]:
    found = {}
    for number, (by, name) in enumerate(JOBS, len(kernels.WORKLOADS)):
        log = recorded_on(generation).log(number)
        found[by, name] = Ran(runlog.read(log)[-1], read_run(log, WORKLOADS[name]).dataset)
    return found


@pytest.fixture(scope="module", params=GENERATIONS)
def runs(request: pytest.FixtureRequest) -> dict[tuple[str, str], Ran]:
    return _runs_on(request.param)


@pytest.fixture(params=PROGRAMS)
def paced(request: pytest.FixtureRequest, runs) -> Ran:
    return runs[request.param, "paced"]


@pytest.fixture(params=PROGRAMS)
def mixed(request: pytest.FixtureRequest, runs) -> Ran:
    return runs[request.param, "mixed"]


@pytest.mark.kernel
@pytest.mark.parametrize("name", BOTH)
def test_a_run_says_which_program_made_it(runs, name: str) -> None:
    for by in PROGRAMS:
        ds = runs[by, name].ds
        dataset.check_invariants(ds)
        assert dataset.provenance(ds)["program"] == by
        assert dataset.provenance(ds)["lost_events"] == 0
        assert ("/foreign" in runs[by, name].log["maps " + ds.process.values[0] + " start"]) == (
            by == FOREIGN
        )


@pytest.mark.kernel
def test_rated_touches_are_made(paced: Ran) -> None:
    made = dict(zip(paced.ds.task.values, paced.ds.touches.values.tolist(), strict=True))
    for name, due in (("spins", 20_000), ("sleeps", 3_000), ("late", 6_000)):
        assert 0.92 * due <= made[name] <= due  # the last ones are not caught up
    assert made["main-main"] == 0


@pytest.mark.kernel
def test_busy_threads_never_sleep_and_others_do(paced: Ran) -> None:
    used = paced.used_ms
    assert used["spins"] > 0.85 * PACED_MS  # beside the others, on their CPUs
    assert used["sleeps"] < 0.3 * PACED_MS
    assert used["late"] < 0.3 * PACED_MS
    assert used["main-main"] < 0.03 * PACED_MS


@pytest.mark.kernel
def test_threads_move_when_they_shall(paced: Ran) -> None:
    assert paced.cpus("spins", 0, 2000) == {0}
    assert paced.cpus("spins", 2200, PACED_MS) == {1}
    first_touched = paced.ds.pages_on_node.sel(vma="fresh").values.tolist()
    assert first_touched == [pytest.approx(1000, abs=100), pytest.approx(2000, abs=100)]


@pytest.mark.kernel
@pytest.mark.parametrize("name", BOTH)
def test_stacks_are_8_mib(runs, name: str) -> None:
    for by in PROGRAMS:
        log, workload = runs[by, name].log, WORKLOADS[name]
        for process in workload.process_names:
            regions = start.regions(log, process, "end", workload)
            stacks = [r.pages for r in regions if r.label == "image:thread-stacks"]
            threads = [t for t in workload.tasks if t.process == process]
            assert stacks == [2048] * (len(threads) - 1)


@pytest.mark.kernel
@pytest.mark.parametrize("by", PROGRAMS)
def test_the_policy_of_a_process_decides_whether_it_is_scanned(runs, by: str) -> None:
    """No mapping of a process under MPOL_BIND is suitable, unless with MPOL_F_NUMA_BALANCING."""
    updates = {name: int(runs[by, name].ds.numa_pte_updates[-1]) for name in TASK_POLICIES}
    assert updates["bind"] == 0
    assert min(updates["default"], updates["bind_balancing"]) >= 2048


@pytest.mark.kernel
def test_a_churn_as_large_as_a_stack_is_told_apart(runs) -> None:
    ds = runs[RECORDER, "stacks"].ds
    assert int(ds.pages_on_node.sel(vma="image:thread-stacks").sum()) < 32
    assert int(ds.pages_on_node.sel(vma="c").sum()) in (0, 2048)  # 0: between two mappings
    mine = ds.chunk_vma.values == ds.vma.values.tolist().index("c")
    assert ds.chunk_pages.values[mine].max() == 2048
    assert ds.chunk_updated.values[mine].max() > 1024


@pytest.mark.kernel
def test_memory_is_laid_out_as_it_is_described(mixed: Ran) -> None:
    pages = mixed.ds.pages_on_node
    assert int(pages.sel(vma="huge").sum()) == 2048
    assert 512 <= int(pages.sel(vma="small").sum()) <= 1024
    assert int(pages.sel(vma="pinned", node=1)) >= 512  # its pinned half
    assert int(pages.sel(vma="hugeshmem").sum()) == 1024
    for process, vma in (("p", "huge"), ("q", "hugeshmem")):
        line = next(x for x in mixed.log[f"mappings {process}"].splitlines() if vma in x.split())
        assert int(line.split()[1], 16) % (2 << 20) == 0
    assert int(mixed.ds.numa_huge_pte_updates[-1]) > 0
    assert mixed.cpus("flat", 900, 2000) <= {1}
    made = dict(zip(mixed.ds.task.values, mixed.ds.touches.values.tolist(), strict=True))
    assert 0.92 * 41_000 <= made["hot"] <= 41_000
    assert made["flat"] > 100_000


def _refused(change: Callable[[str], str], by: str = FOREIGN) -> str:
    text = change(HEAD.replace("NAME", "w").replace("MS", "1000") + MIXED)
    with pytest.raises(InputError) as caught:
        check(parse(text), by)
    assert "\n" not in str(caught.value)
    return str(caught.value)


MANY = "access = [" + '{vma = "huge"},' * 17 + "]"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("format = 2", "format = 1", 'main_thread = "waits" in its [[process]], or format = 2'),
        ("[[task]]", '[[churn]]\nname="c"\nsize_mb=1\nlifetime_ms=9\n[[task]]', 'churn "c"'),
        ("[[task]]", '[[process]]\nname="p"\ncpuset_mems=[0]\n[[task]]', '"p": cpuset_mems'),
        ('kind = "shmem"\nthp = true', 'kind = "file_rw"', '"hugeshmem": kind = "file_rw"'),
        ('kind = "shmem"\nthp = true', 'kind = "hugetlb"', '"hugeshmem": kind = "hugetlb"'),
        ("size_mb = 8", 'size_mb = 8\nsubscriber = "gpu"', 'subscriber = "gpu"'),
        ("size_mb = 8", 'size_mb = 8\npolicy = "bind"', 'policy = "bind"'),
        ("size_mb = 4", 'size_mb = 4\npin_placement = "scattered"', 'placement = "scattered"'),
        ('access = [{vma = "huge"}, {vma = "small", hi = 0.5}]', MANY, "more than 16 of access"),
    ],
)
def test_what_the_foreign_program_cannot_do_is_refused(old: str, new: str, line: str) -> None:
    said = _refused(lambda text: text.replace(old, new, 1))
    assert line in said
    assert "foreign" in said


def test_a_program_that_is_not_there_is_refused() -> None:
    assert "unknown program 'foregn'; did you mean 'foreign'?" in _refused(str, by="foregn")


def test_what_both_can_do_passes() -> None:
    for by in PROGRAMS:
        check(WORKLOADS["mixed"], by)


def test_more_than_the_guest_has_room_for_is_refused_before_a_boot() -> None:
    text = (
        HEAD.replace("NAME", "many").replace("MS", "1000") + '[[task]]\nname = "t"\ncount = 600\n'
    )
    with pytest.raises(
        InputError, match=r"601 tables of \[\[thread\]\]: the recorder has room for 512"
    ):
        check(parse(text), RECORDER)
