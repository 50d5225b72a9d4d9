"""What measures return is checked as it comes: names, numbers, and one form for all runs."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from numalab.fields import InputError
from numalab.sweep.results import Forms, pack


def _array(labels=None, dim="k", values=(1, 2)):
    return xr.DataArray([*values], dims=dim, coords={} if labels is None else {dim: labels})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (3, "returned 3: must be a mapping"),
        ({}, "returned {}: must be a mapping"),
        ({1: 1}, "returned the name 1: must be printable text"),
        ({"": 1}, "returned the name '': must be printable text"),
        ({"a/b": 1}, "returned the name 'a/b'"),
        ({"x": None}, "x = None is object[]: must be numbers"),
        ({"x": "a"}, "x = 'a' is <U1[]: must be numbers"),
        ({"x": 1j}, "x = 1j is complex128[]: must be numbers"),
        ({"x": [1, 2]}, "x is an array without dimensions: return an xarray.DataArray"),
        ({"x": [1, [2, 3]]}, "x is an array without dimensions"),
        ({"x": _array(values=[object()] * 2)}, "x is object[2]: must be numbers"),
        ({"x": _array(values=range(100_001))}, "x is int64[100001]: must be numbers, 100000 at"),
        ({"x": _array([1, 1])}, "x: labels of k: one is there twice"),
        ({"x": _array(np.array([1, "a"], object))}, "x: labels of k: must be all numbers or"),
        ({"x": _array(pd.date_range("2020", periods=2))}, "x: labels of k: must be all numbers or"),
        ({"x": _array([1, 2]), "y": _array([1, 3])}, "y: other labels of k than the variables"),
    ],
)
def test_what_cannot_be_kept_is_one_line(found, message):
    with pytest.raises(InputError) as caught:
        pack(found)
    assert message in str(caught.value)


def walked(run):
    return run


def counted(run):
    return run


def _forms(*seen, taken=("policy",)):
    """Check results of measures one after the other: of ``walked`` (0) and ``counted`` (1)."""
    forms = Forms([walked, counted], taken)
    for measure, found in seen:
        forms.check(measure, pack(found)[0])


def test_runs_may_differ_in_lengths_labels_and_kinds_of_numbers():
    runs = [{"x": _array([1, 2]), "y": 1}, {"x": _array([2.5], values=[0.5]), "y": True}]
    runs += [{"x": _array([], values=[]), "y": np.nan}, runs[0]]
    _forms(*((0, run) for run in runs), *((1, {"z": _array(values=[i] * i)}) for i in range(3)))


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ([{"x": 1}, {"y": 1}], "measure walked: returned y, and x in another run: must have"),
        ([{"x": 1}, {"x": 1, "y": 1}], "returned x, y, and x in another run"),
        ([{"x": 1}, {"x": _array()}], "returned x(k), and x in another run"),
        ([{"x": _array(dim="k")}, {"x": _array(dim="l")}], "returned x(l), and x(k) in another"),
        (
            [{"x": _array()}, {"x": _array(["a", "b"])}],
            "measure walked: labels of k: numbers in one run, texts in another",
        ),
    ],
)
def test_runs_that_have_no_common_form_are_one_line(seen, message):
    with pytest.raises(InputError) as caught:
        _forms(*((0, found) for found in seen))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"x": 1}, {"x": 2}, "x"),
        ({"x": 1}, {"policy": 1}, "policy"),
        ({"x": 1}, {"status": 1}, "status"),
        ({"x": 1}, {"replicate": 1}, "replicate"),
        ({"x": _array()}, {"k": 1}, "k"),
        ({"x": 1}, {"k": _array()}, "k"),
        ({"x": 1}, {"y": _array(dim="x")}, "dimension x"),
        ({"x": 1}, {"y": _array(dim="policy")}, "dimension policy"),
        ({"x": 1}, {"y": _array(dim="run")}, "dimension run"),
    ],
)
def test_names_that_the_result_has_already_are_refused(first, second, name):
    with pytest.raises(InputError, match=f"^measure counted: {name} is the name of an axis, of a"):
        _forms((0, first), (1, second))


def test_measures_may_share_a_dimension():
    _forms((0, {"x": _array()}), (1, {"y": _array()}))


def test_a_form_that_was_seen_is_not_read_again(monkeypatch):
    header = pack({"x": 1})[0]
    forms = Forms([walked], ())
    forms.check(0, header)
    monkeypatch.setattr(json, "loads", None)
    forms.check(0, header)
