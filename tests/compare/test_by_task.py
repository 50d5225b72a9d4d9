"""What tasks of recorded runs did beside the model's prediction."""

import numpy as np
import pytest
import xarray as xr

from numalab import compare
from numalab.dataset import concat, make
from numalab.fields import InputError
from numalab.schema import IMAGE_VMAS


def _dataset(migrated, faults=5, workload="w", **more):
    variables = {"task_pages_migrated": migrated, "total_numa_faults": [faults] * len(migrated)}
    coords = {
        "time": [0],
        "process": ["main"],
        "vma": ["a", *IMAGE_VMAS],
        "task": [f"t{i}" for i in range(len(migrated))],
        "node": [0, 1],
    }
    attrs = {"source": "simulated", "kernel": "linux-6.1", "workload": {"name": workload}}
    return make(variables | more, coords, attrs)


def _runs(*values):
    return concat([_dataset([value, 10 * value]) for value in values])


def test_each_task_has_its_interval():
    found = compare.tasks(_runs(*range(100, 160)), _runs(120, 300))
    assert found["counter"].values.tolist() == [
        "task_pages_migrated of t0",
        "task_pages_migrated of t1",
        "total_numa_faults of t0",
        "total_numa_faults of t1",
    ]
    assert found["runs_inside"].values.tolist() == [1, 1, 2, 2]
    assert found["recorded"].sel(counter="task_pages_migrated of t1").values.tolist() == [
        1200,
        3000,
    ]
    assert float(found["low"].sel(counter="task_pages_migrated of t0")) > 99
    wider = compare.tasks(_runs(*range(100, 160)), _runs(120, 165), tolerance=16)
    assert wider["runs_inside"].values.tolist() == [2, 1, 2, 2]


def test_workloads_with_other_tasks_stand_side_by_side():
    """A quantity that a workload has not is no miss."""
    cells = [
        compare.tasks(concat([_dataset([v] * n) for v in range(60)]), concat([_dataset([9] * n)]))
        for n in (1, 2)
    ]
    names = {"workload": ("cell", ["v", "w"]), "generation": ("cell", ["6.1", "6.1"])}
    table = xr.concat(cells, "cell", join="outer", data_vars="all").assign_coords(names)
    scores = compare.predictions(table).sel(generation=compare.ALL)
    assert int(scores["steady_runs"]) == int(scores["steady_inside"]) == 6
    assert np.isfinite(float(scores["log2_median"]))


def test_what_cannot_be_compared_is_refused():
    runs = _runs(*range(60))
    with pytest.raises(InputError, match='"w" beside a simulation of "v"'):
        compare.tasks(concat([_dataset([v, v], workload="v") for v in range(60)]), runs)
    with pytest.raises(InputError, match="no task_pages_migrated: nothing to compare"):
        compare.tasks(runs, runs.drop_vars("task_pages_migrated"))
