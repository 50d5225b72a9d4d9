"""One table over many recordings."""

import json
from pathlib import Path

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


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="no recordings to compare with"):
        compare.over([])
