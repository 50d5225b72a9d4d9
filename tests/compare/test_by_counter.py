"""Counters of recorded runs beside the model's prediction."""

import numpy as np
import pytest

from numalab import compare
from numalab.dataset import concat, make
from numalab.fields import InputError
from numalab.report import summary
from numalab.schema import COUNTERS, IMAGE_VMAS


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


def test_a_median_is_inside_the_interval_or_outside():
    sim = concat([_dataset(v) for v in range(100, 160)])
    inside = compare.counters(sim, concat([_dataset(120), _dataset(140)]))
    outside = compare.counters(sim, concat([_dataset(300), _dataset(310)]))
    name = "numa_pte_updates"
    assert bool(inside["inside"].sel(counter=name))
    assert int(inside["runs_inside"].sel(counter=name)) == 2
    assert not bool(outside["inside"].sel(counter=name))
    assert float(outside["log2_ratio"].sel(counter=name)) == pytest.approx(np.log2(129.5 / 305))
    assert float(inside["recorded_median"].sel(counter="scans")) == 3
    assert "OUT" in summary.agreement(outside)


def test_scans_leave_out_the_padding_of_chunk_tables():
    runs = concat([_dataset(1, scans=2), _dataset(1, scans=5)])
    assert compare.at_end(runs, "scans").values.tolist() == [2, 5]


def test_runs_of_different_workloads_are_not_compared():
    runs = [concat([_dataset(v, workload=name) for v in range(100, 160)]) for name in "ab"]
    with pytest.raises(InputError, match='"b" beside a simulation of "a"'):
        compare.counters(*runs)


def test_the_ratio_of_equal_values_is_one_even_if_both_are_zero():
    zero, some = ([_dataset(value)] * 40 for value in (0, 7))
    ratios = [
        float(compare.counters(concat(model), concat(real))["log2_ratio"].sel(counter=name))
        for model, real in ((zero, zero), (some, some), (some, zero), (zero, some))
        for name in ("numa_hint_faults",)
    ]
    assert ratios[:2] == [0, 0]
    assert np.isnan(ratios[2:]).all()


def test_the_width_is_told_in_ranges_of_the_recorded_runs():
    sim = concat([_dataset(v) for v in range(100, 160)])
    found = compare.counters(sim, concat([_dataset(120), _dataset(140)]))
    one = found.sel(counter="numa_pte_updates")
    assert float(one["width_ratio"]) == pytest.approx(float(one["high"] - one["low"]) / 20)
    assert np.isnan(found["width_ratio"].sel(counter="scans"))  # all runs have as many
    assert found["recorded"].dims == ("counter", "run")


def test_an_unknown_counter_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'numa_hint_faults'"):
        compare.at_end(concat([_dataset(1)]), "numa_hint_fault")


def test_runs_are_described_in_a_few_words():
    runs = concat([_dataset(1)] * 3)
    assert compare.describe(runs) == "simulated as linux-6.1 (3 runs)"
    recorded = runs.assign_attrs(source="recorded", kernel="6.1.9")
    assert compare.describe(recorded) == "recorded on 6.1.9 (3 runs)"
