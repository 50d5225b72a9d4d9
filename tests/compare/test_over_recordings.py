"""One table over many recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from numalab import captures, compare
from numalab.fields import InputError

SHORT = Path(__file__).parents[1] / "data" / "captures"


def test_each_recording_is_simulated_once_and_compared_in_every_way(monkeypatch):
    asked = []
    simulate = captures.Recording.simulate

    def count(recording, replicates, seed, *, default_start):
        asked.append((recording.label, replicates, seed))
        return simulate(recording, replicates, seed, default_start=default_start)

    def faults(simulated, recorded):
        ends = [compare.at_end(ds, "numa_hint_faults") for ds in (simulated, recorded)]
        return xr.Dataset({"faults": ("of", [int(end[0]) for end in ends])})

    def runs(simulated, recorded):
        return xr.Dataset({"runs": simulated.sizes["replicate"] + recorded.sizes["replicate"]})

    monkeypatch.setattr(captures.Recording, "simulate", count)
    recordings = captures.find(SHORT)
    table = compare.over(recordings, [faults, runs], replicates=2, seed=3)
    kernels = ["6.1", "6.12", "7.2"]
    assert asked == [(f"short/{kernel}", 2, 3) for kernel in kernels]
    assert table["generation"].values.tolist() == kernels
    assert table["workload"].values.tolist() == ["short"] * 3
    assert table["faults"].dims == ("cell", "of")
    assert table["runs"].values.tolist() == [3, 3, 3]
    origin = json.loads(table.attrs["provenance"])
    assert (origin["replicates"], origin["seed"]) == (2, 3)
    assert origin["recordings"]["short/7.2"] == recordings[2].manifest["image_sha256"]


def test_the_default_is_counters_and_events():
    table = compare.over(captures.find(SHORT)[:1], replicates=39)
    assert {"inside", "times_inside", "skips_simulated"} <= set(table.data_vars)
    assert table["inside"].dims == ("cell", "counter")
    assert table["skips_recorded"].isnull().all()  # 6.1 traces none


def test_what_lies_inside_is_counted_by_kernel():
    runs = np.ones((3, 2, 4))
    runs[0, :, 3] = np.nan  # one run fewer
    table = xr.Dataset(
        {
            "recorded": (("cell", "counter", "run"), runs),
            "runs_inside": (("cell", "counter"), [[3, 1], [4, 4], [0, 2]]),
            "inside": (("cell", "counter"), [[True, False], [True, True], [False, False]]),
            "times_compared": ("cell", [12, 10, 0]),
            "times_inside": ("cell", [9, 8, 0]),
            "ranges_inside": ("cell", [12, 7, 0]),
        },
        coords={"generation": ("cell", ["6.1", "7.2", "6.1"])},
    )
    found = compare.score(table)
    assert found["of"].values.tolist() == ["values", "medians", "begins", "pages"]
    assert found["generation"].values.tolist() == ["6.1", "7.2"]
    assert found["recorded"].values.tolist() == [[14, 4, 12, 12], [8, 2, 10, 10]]
    assert found["inside"].values.tolist() == [[6, 1, 9, 12], [8, 2, 8, 7]]


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="no recordings to compare with"):
        compare.over([])
