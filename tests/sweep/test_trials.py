"""Trials: what is drawn, on what it depends, and that every workload takes them."""

import pytest

from numalab import sweep
from numalab.catalog import threads
from numalab.engine import simulate_one
from numalab.policy import get


def _trial(number, workload=threads.disjoint, tasks=2, event_ms=10_000):
    return sweep.trial(workload, tasks, event_ms, 20_000, root_seed=3, trial=number)


def test_a_trial_depends_on_seed_and_number_only():
    one, other = _trial(0), _trial(1)
    assert one == _trial(0)
    assert other.seed != one.seed
    assert other.setup.processes[0].pids != one.setup.processes[0].pids
    event = other.workload.duration_ms - 20_000
    assert 10_000 <= event <= 10_000 * 4 / 3
    moved = _trial(1, threads.exchanged).workload.tasks[0].access[1]
    assert moved.start_ms == pytest.approx(event), "the same moment in every workload"


@pytest.mark.parametrize("tasks", [2, 5])
@pytest.mark.parametrize(
    "name", ["disjoint", "shared", "exchanged", "filled_late", "born_late", "one_region"]
)
def test_every_workload_can_be_laid_out_and_names_its_regions(name, tasks):
    start = _trial(0, sweep.catalog_function(name), tasks, event_ms=1000)
    w = start.workload
    held = simulate_one(start, get("linux-6.4"), 0, 0)["pages_on_node"].sum("node").to_series()
    mb = {x.name: x.size_mb for x in (*w.vmas, *w.churns) if x.name.startswith("region")}
    assert len(mb) >= (name != "one_region") + 1
    assert held.filter(like="region").to_dict() == {name: 256 * x for name, x in mb.items()}
