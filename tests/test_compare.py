import numpy as np
import pytest

from numalab import compare
from numalab.dataset import COUNTERS, IMAGE_VMAS, concat, make
from numalab.fields import InputError
from numalab.report import tables


def _dataset(final, scans=3, seq=2, workload="w"):
    ends = {c: [0, final] for c in COUNTERS}
    chunk = {f"chunk_{n}": range(scans) for n in ("ms", "scan", "task", "vma", "start")}
    return make(
        {
            **ends,
            "numa_scan_seq": [[0], [seq]],
            **chunk,
            "chunk_pages": [512] * scans,
            "chunk_updated": [1] * scans,
        },
        {
            "time": [0, 1000],
            "process": ["main"],
            "vma": ["a", *IMAGE_VMAS],
            "task": ["t"],
            "node": [0, 1],
        },
        {"source": "simulated", "kernel": "linux-6.1", "workload": {"name": workload}},
    )


def test_compare_says_inside_and_outside():
    sim = concat([_dataset(v) for v in range(100, 160)])
    inside = compare.compare(sim, concat([_dataset(120), _dataset(140)]))
    outside = compare.compare(sim, concat([_dataset(300), _dataset(310)]))
    name = "numa_pte_updates"
    assert bool(inside["inside"].sel(counter=name))
    assert int(inside["runs_inside"].sel(counter=name)) == 2
    assert not bool(outside["inside"].sel(counter=name))
    assert float(outside["log2_ratio"].sel(counter=name)) == pytest.approx(np.log2(129.5 / 305))
    assert float(inside["recorded_median"].sel(counter="scans")) == 3
    assert "OUT" in tables.agreement(outside)


def test_compare_ignores_the_padding_of_chunk_tables():
    runs = concat([_dataset(1, scans=2), _dataset(1, scans=5)])
    assert compare.final(runs, "scans").values.tolist() == [2, 5]


def test_runs_of_different_workloads_are_not_compared():
    runs = [concat([_dataset(v, workload=name) for v in range(100, 160)]) for name in "ab"]
    with pytest.raises(InputError, match='"b" beside a simulation of "a"'):
        compare.compare(*runs)
