"""What a main thread does around its first clone, and what its placement makes of it.

Seen in the faults of 24 boots of three kernels: the pages that it wrote while it laid out memory
lie together; the list of threads it touches before and after the clone.
"""

from dataclasses import replace

import numpy as np
import pytest

from numalab import policy
from numalab.engine import simulate
from numalab.machine import Machine
from numalab.model.default_start import default_setup
from numalab.model.initial import assemble
from numalab.model.inputs import alone_records
from numalab.model.program import draw_program
from numalab.model.startup import run_startup
from numalab.workload import Access, Task, Vma, Workload

WORKLOAD = Workload(
    name="w",
    duration_ms=6000,
    machine=Machine(nodes=2, cpus_per_node=1, memory_mb=960),
    vmas=(Vma(name="a", size_mb=16), Vma(name="b", size_mb=16)),
    tasks=(
        Task(name="t0", cpu=0, access=(Access(vma="a"),)),
        Task(name="t1", cpu=1, access=(Access(vma="b"),)),
    ),
)
FAR = {"file-data": (1, 2), "data": (4, 4), "heap": (2, 2), "stack": (3, 0), "shared": (1, 0)}
"""Laid out while the main thread ran on node 1, beside its parent on node 0."""
NEAR = {"file-data": (3, 0), "data": (8, 0), "heap": (4, 0), "stack": (3, 0), "shared": (1, 0)}
STAMP_MS = -50.0


def started(present, alone_ms, workload=WORKLOAD):
    """Start where the main thread scanned on CPU 0, and stamped its first clone at STAMP_MS."""
    setup = default_setup(workload)
    main = setup.of("main")
    mappings = tuple(
        replace(m, present=present[m.kind]) if m.kind in present else m for m in main.mappings
    )
    main = replace(
        main,
        mappings=mappings,
        runtime_ms=(1500.0, 1.0),
        fork_ms=-1600.0,
        reset_ms=STAMP_MS,
        balancing_ms=STAMP_MS - (10 if alone_ms else 2),
        alone_cpu=0,
        alone_ms=alone_ms,
    )
    return replace(setup, processes=(main,))


def first_scans(name, present, alone_ms, replicates=20):
    """Time of the first scan of each run [ms]."""
    ds = simulate(
        WORKLOAD, policy.get(name), replicates=replicates, setup=started(present, alone_ms)
    )
    return np.nanmin(np.where(ds["chunk_ms"] > 0, ds["chunk_ms"], np.nan), axis=-1)


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
@pytest.mark.parametrize(
    ("present", "alone_ms", "first_ms"),
    [
        (FAR, STAMP_MS + 2, 4000),
        (FAR, STAMP_MS - 2, 1000),
        (NEAR, STAMP_MS + 2, 1000),
        ({**NEAR, "data": (6, 2)}, STAMP_MS + 2, 1000),
        (FAR, np.inf, 1000),
    ],
    ids=["between", "before the stamp", "own pages are near", "only the parent's are far", "none"],
)
def test_a_scan_between_stamp_and_clone_puts_the_next_one_off(name, present, alone_ms, first_ms):
    """The placement runs twice, before and after the clone, and both times sees remote faults only.

    So 1000 ms become 2000 and 4000, and the next scan of the process is that far away.
    """
    found = first_scans(name, present, alone_ms)
    assert np.abs(found - first_ms).max() < 100


def test_a_scan_at_an_unknown_time_is_drawn_on_either_side_of_the_stamp():
    """Balancing was on for 2 ms before it: the first tick comes up to 4 ms later."""
    found = first_scans("linux-7.2", FAR, None, replicates=60)
    late = np.abs(found - 4000) < 100
    assert 0 < late.sum() < 60
    assert np.abs(found[~late] - 1000).max() < 100


def periods(cpu):
    """Scan period of the main thread, bound to ``cpu`` after it scanned on CPU 0, at the start."""
    tasks = (replace(WORKLOAD.tasks[0], cpu=cpu), replace(WORKLOAD.tasks[1], cpu=1 - cpu))
    w = replace(WORKLOAD, tasks=tasks)
    room = np.random.default_rng(0)
    setup = started(FAR, STAMP_MS + 2, w)
    world = assemble(w, policy.get("linux-6.12"), setup, 1 << 12, room)
    run_startup(world, alone_records(w, setup), 0, room)
    return int(world.tasks[0].numa_scan_period)


def test_binding_the_main_thread_to_another_node_restarts_its_period():
    """As migrate_task_rq_fair() has it: before a pass of its own is over."""
    assert periods(cpu=0) == 4000
    assert periods(cpu=1) == 1000


def test_pages_in_use_lie_where_the_main_thread_laid_out_memory():
    """Apart from the parent's, which wrote the shared page; where there is one node, there."""
    three = {"data": (1, 2, 5), "heap": (1, 1, 2), "shared": (0, 1, 0)}
    few = {**FAR, "data": (6, 2)}
    for present, node in (
        (FAR, 1),
        (NEAR, 0),
        ({**FAR, "shared": (0, 1)}, 0),
        (few, 0),
        (three, 2),
    ):
        setup = started(present, np.inf)
        mappings = setup.of("main").mappings
        for seed in range(20):
            drawn = draw_program(WORKLOAD, setup, np.random.default_rng(seed))
            for (_, number), pages in drawn.items():
                if mappings[number].kind in ("data", "heap"):
                    used = np.add(pages.last, pages.in_use)
                    assert used[node] == used.sum() == 2


@pytest.mark.parametrize(("pages", "draws", "own"), [(8, False, 6), (9, False, 7), (9, True, 8)])
def test_all_pages_of_the_data_are_its_own_but_its_parent_s(pages, draws, own):
    """First scan of several threads: 6 of 8 in 30 recordings, 8 of 9 where threads draw."""
    setup = started({**NEAR, "data": (pages, 0)}, np.inf)
    w = WORKLOAD
    if draws:
        tasks = [replace(t, access=(replace(t.access[0], pattern="rand"),)) for t in w.tasks]
        w = replace(w, tasks=tuple(tasks))
    drawn = draw_program(w, setup, np.random.default_rng(1))
    for (_, number), found in drawn.items():
        if setup.of("main").mappings[number].kind == "data":
            assert sum(map(sum, found)) == own


def test_without_one_shared_page_nothing_is_known_of_the_nodes():
    nodes = set()
    setup = started({**FAR, "shared": (1, 1)}, np.inf)
    for seed in range(20):
        drawn = draw_program(WORKLOAD, setup, np.random.default_rng(seed))
        for (_, number), pages in drawn.items():
            if setup.of("main").mappings[number].kind == "data":
                nodes.add(tuple(np.add(pages.last, pages.in_use)))
    assert len(nodes) > 1
