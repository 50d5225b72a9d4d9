"""Published changes: each row names what the model has, and in what the two agree."""

import numpy as np
import pytest
import xarray as xr

from numalab import sweep
from numalab.compare import published
from numalab.policy import get

FILE = "data/published/pte_updates.csv"
WORKLOADS = ["exchanged", "filled_late", "one_region", "short_lived"]


def _updates(changes):
    """A log2 of 10 in all five runs, but for ``changes`` by policy and workload."""
    names = list(published.policies(published.read(FILE, WORKLOADS)))
    labels = {"policy": names, "workload": WORKLOADS, "replicate": range(5)}
    da = xr.DataArray(np.full((len(names), 4, 5), 10.0), labels, list(labels))
    for (policy, workload), value in changes.items():
        da.loc[{"policy": policy, "workload": workload}] = value
    return da


def test_every_row_names_a_policy_and_a_workload_of_the_model_and_its_source():
    rows = published.read(FILE, WORKLOADS)
    assert len(rows) == 10
    assert all(sweep.catalog_function(name) for name in rows["workload"])
    assert (rows[["before", "after"]] > 0).all(axis=None)
    assert (rows["source"] != "").all()
    found = published.policies(rows)
    assert {*rows["now"], *rows["then"]} == {*found}
    assert found["rfc-v1"] == get("rfc-v1")
    without, whole = (found[name].rules() for name in ("linux-6.7 - start_scan_seq", "linux-6.7"))
    assert {k for k, v in without.items() if v != whole[k]} == {"start_scan_seq"}


def test_only_rows_of_the_given_workloads_are_read():
    rows = published.read(FILE, ["short_lived"])
    assert rows["benchmark"].tolist() == ["kernbench"] * 3
    assert len(published.compared(_updates({}), published.read(FILE, []))) == 0
    assert published.read(FILE).equals(published.read(FILE, WORKLOADS))


@pytest.mark.parametrize(
    ("updates", "agrees"),
    [
        (10, "not clear"),
        (9.95, "not clear"),
        (9.9, "size"),
        (8.7, "size"),
        (8.6, "direction"),
        (12, "other way"),
        ([9.0, 9.0, 9.0, 9.0, 11.9], "not clear"),
    ],
)
def test_the_model_agrees_with_what_was_published(updates, agrees):
    """kernbench under RFC V1 was published as x0.804; within a factor of 2 lies x0.402."""
    found = published.compared(_updates({("rfc-v1", "short_lived"): updates}), _one())
    assert found["agrees in"].tolist() == [agrees]


def _one():
    rows = published.read(FILE, ["short_lived"])
    return rows[rows["change"] == "rfc-v1"]


def test_a_row_holds_both_factors_and_the_interval():
    found = published.compared(_updates({("rfc-v1", "short_lived"): 9.0}), _one())
    expected = ["x0.804", "short_lived", "x0.5 [identical]", "size"]
    assert found.loc[("rfc-v1", "kernbench")].tolist() == expected


def _setting(*updates):
    """The three published changes of kernbench, of which the model finds these updates."""
    rows = published.read(FILE, ["short_lived"])
    changes = zip(["rfc-v1", "linux-6.4"], updates, strict=True)
    return published.compared(_updates({(p, "short_lived"): u for p, u in changes}), rows)


def test_what_is_said_holds_in_every_setting():
    """Published x0.804, x0.822, x0.798; the model does not move by the last, start_scan_seq."""
    found = published.over_settings({"4/60": _setting(9.9, 9.0), "16/60": _setting(9.5, 8.0)})
    assert found["by"].tolist() == ["x0.804", "x0.822", "x0.798"]
    assert found["4/60"].tolist() == ["x0.933", "x0.5", "x1?"]
    assert found["says"].tolist() == ["agrees", "direction only", "differs"]
    other = published.over_settings({"4/60": _setting(11.0, 9.0)})
    assert other["4/60"].tolist()[0] == "x2!"
    assert other["says"].tolist() == ["differs", "agrees", "differs"]
