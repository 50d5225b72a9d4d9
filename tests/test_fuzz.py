"""A bounded number of the inputs of the fuzz targets."""

from __future__ import annotations

import pytest

from tests.fuzz import _loop, runs, stores, sweeps, workloads


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "inputs", "outcomes"),
    [
        (workloads, 150, {"refused", "read"}),
        (sweeps, 60, {"refused", "planned"}),
        (stores, 100, {"read", "set aside"}),
        (runs, 10, {"simulated"}),
    ],
)
def test_no_input_is_a_finding(target, inputs, outcomes):
    found = {_loop.limited(target.one, f"test-{i}") for i in range(inputs)}
    assert found >= outcomes
