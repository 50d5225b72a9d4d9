"""What is given to a sweep from Python: each wrong type is one line; bad measures end it soon."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from numalab import sweep, workload_file
from numalab.dataset import provenance
from numalab.engine import Start
from numalab.fields import InputError

FILE = dataclasses.replace(workload_file.load("data/workloads/churn-long.toml"), duration_ms=250.0)
NO_LIST = 'axis "hz": values = {}: must be a list, a dict of values by label, a Range, or a'


def _frame(**columns):
    return {"point": pd.DataFrame(columns)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"axes": [1]}, "axes = [1]: must be a dict of values by name"),
        ({"axes": "hz"}, "axes = 'hz': must be a dict"),
        ({"axes": {3: [1]}}, "axis 3: its name must be text"),
        ({"axes": {"hz": 3}}, NO_LIST.format("3")),
        ({"axes": {"hz": None}}, NO_LIST.format("None")),
        ({"axes": {"hz": "100"}}, NO_LIST.format("'100'")),
        ({"axes": {"hz": b"12"}}, NO_LIST.format("b'12'")),
        ({"axes": {"hz": {100}}}, NO_LIST.format("{100}")),
        ({"axes": {"hz": np.array(100)}}, NO_LIST.format("array(100)")),
        ({"axes": {"hz": [[1], [2]]}}, 'axis "hz" = (1,): must be a whole number'),
        ({"axes": {"hz": []}}, 'axis "hz": holds no value'),
        ({"axes": {"hz": {}}}, 'axis "hz": holds no value'),
        ({"axes": {"hz": pd.Series([], dtype=int)}}, 'axis "hz": holds no value'),
        ({"axes": _frame()}, 'axis "point": holds no value'),
        ({"axes": _frame(hz=[])}, 'axis "point": holds no value'),
        ({"axes": {"p": pd.DataFrame([[1, 2]], columns=["hz"] * 2)}}, "holds 'hz' twice"),
        ({"fixed": 3}, "fixed = 3: must be a dict of one value by name"),
        ({"fixed": [1]}, "fixed = [1]: must be a dict of one value by name"),
        ({"fixed": {3: 1}}, "name of a fixed value = 3: must be text"),
        ({"replicates": "3"}, "replicates = '3': must be a whole number"),
        ({"seed": None}, "seed = None: must be a whole number"),
        ({"policy": 3}, "policy = 3: must be text"),
        ({"measure": 3}, "measure = 3: must be a function or a list of functions"),
        ({"measure": "totals"}, "measure = 'totals': must be a function"),
        ({"measure": None}, "measure = None: must be a function"),
        ({"measure": [sweep.totals, 3]}, "measure = 3: must be a function"),
        ({"store": 3}, "store = 3: must be a path"),
        ({"store": b"x"}, "store = b'x': must be a path"),
        ({"execution": "x"}, "execution = 'x': must be a sweep.Execution"),
        ({"execution": 0}, "execution = 0: must be a sweep.Execution"),
        ({"drop": 3}, "drop = 3: must be a text or a list of texts"),
        ({"drop": [3]}, "drop[0] = 3: must be text"),
        ({"drop_invalid": "yes"}, "drop_invalid = 'yes': must be true or false"),
    ],
)
def test_a_wrong_type_is_one_line(given, message):
    with pytest.raises(InputError) as caught:
        sweep.grid(FILE, **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": 3}, "execution: store = 3: must be a path"),
        ({"store": ""}, "store is empty"),
        ({"workers": "4"}, "execution: workers = '4': must be a whole number"),
        ({"cluster": 3}, "execution: cluster = 3: must be text"),
        ({"log": 3}, "execution: log = 3: must be a function"),
    ],
)
def test_a_wrong_type_of_an_execution_is_one_line(given, message):
    with pytest.raises(InputError, match=message):
        sweep.Execution(**given)


def _of(share):
    return 1 / share and FILE


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        (3, {}, "workload = 3: must be a Workload, a Start, a function or None"),
        ("lifetimes", {}, "workload = 'lifetimes': must be a Workload"),
        (Start(workload=3), {}, "sweep: workload = 3: must be a Workload or a Start"),
        (max, {}, "workload: no signature found for builtin"),
        (lambda: 3, {}, "sweep: workload <lambda>: returned 3: must be a Workload or a Start"),
        (None, {"axes": {"workload": ["x"]}}, "workload = 'x': must be a Workload or a Start"),
        (_of, {"axes": {"share": [1, 0]}}, "share = 0: workload _of: ZeroDivisionError: division"),
    ],
)
def test_what_is_no_workload_is_one_line(source, given, message):
    with pytest.raises(InputError) as caught:
        sweep.grid(source, **given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sweep.design.sobol(3, 4), "ranges = 3: must be a table of values by name"),
        (lambda: sweep.design.sobol({"a": 3}, 4), r"a = 3: must be a Range, \(lowest, highest\)"),
        (lambda: sweep.design.sobol({"a": []}, 4), r"a = \[\]: must be a Range"),
        (lambda: sweep.design.sobol({"a": ("x", 2)}, 4), "a: range: lowest = 'x': must be a numb"),
        (lambda: sweep.design.sobol({"a": (1, 2)}, "4"), "points = '4': must be a whole number"),
        (lambda: sweep.design.latin_hypercube({"a": (1, 2)}, 2, "s"), "seed = 's': must be a wh"),
        (lambda: sweep.design.saltelli([1], 16), "bounds = .*: must be a table"),
        (lambda: sweep.design.saltelli({"a": (1, 2)}, "x"), "n = 'x': must be a whole number"),
        (lambda: sweep.design.saltelli({"a": (1, 2, 3)}, 16), "must be a range, or"),
        (lambda: sweep.catalog_function(3), "unknown workload of the catalog 3"),
    ],
)
def test_wrong_types_of_designs_and_names_are_one_line(call, message):
    with pytest.raises(InputError, match=message):
        call()


def _bad(kind, seen):
    """Return a measure that is no good from the first run on, or from the second."""

    def bad(run):
        seen.append(provenance(run)["replicate"])
        if kind == "raises":
            return {"x": run["nothing"]}
        if kind == "later" and len(seen) > 1:
            return {"x": xr.DataArray([1, 2], dims="k")}
        return {"status" if kind == "name" else "x": None if kind == "none" else 1}

    return bad


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raises", r"hz = 100: measure bad: KeyError: .*'nothing'.* \(line [0-9]+ of bad\) in rep"),
        ("name", "hz = 100: measure bad: status is the name of an axis"),
        ("none", "hz = 100: measure bad: x = None is object"),
        ("later", r"measure bad: returned x\(k\), and x in another run"),
    ],
)
def test_a_bad_measure_ends_the_sweep_after_its_first_runs(kind, message, tmp_path):
    seen = []
    one = sweep.Execution(workers=1)
    axes = {"hz": [100, 250, 300, 1000]}
    with pytest.raises(InputError, match=message):
        sweep.grid(FILE, axes, measure=_bad(kind, seen), replicates=200, execution=one)
    assert len(seen) < 200


def test_a_measure_that_fails_in_one_run_leaves_the_others_in_the_store(tmp_path):
    def picky(run):
        return {"x": 1 / (3 - provenance(run)["replicate"])}

    one = sweep.Execution(workers=1, store=tmp_path)
    with pytest.raises(InputError, match=r"^sweep: measure picky: ZeroDiv.* in replicate 3$"):
        sweep.grid(FILE, measure=picky, replicates=8, execution=one)
    assert len([*tmp_path.glob("*.nc")]) == 1
