"""Records are filled by name."""

import pytest

from numalab.model.inputs import filled
from numalab.records import record


def test_a_field_that_no_row_names_is_zero():
    found = filled(record("a b", floats="c"), [{"b": 2}, {"c": 0.5, "a": True}])
    assert found.tolist() == [(0, 2, 0.0), (1, 0, 0.5)]
    assert found.b.tolist() == [2, 0]


def test_what_is_no_field_is_refused():
    with pytest.raises(KeyError, match="d"):
        filled(record("a b"), [{"a": 1}, {"d": 2}])
