"""Tables become objects, or one line; objects become tables."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.plain import as_plain, build
from tests.test_fields import Kettle


def test_a_table_becomes_an_object_and_lists_become_tuples():
    found = build(Kettle, {"name": "k", "marks": [1, [2]]}, "[kettle]")
    assert found.marks == (1, (2,))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "[kettle]: name is missing (name)"),
        ({"name": "k", "litre": 1}, "unknown key in [kettle] 'litre'; did you mean 'litres'?"),
        ({"name": "k", "zzz": 1}, "unknown key in [kettle] 'zzz'; known: colour, cups, litres"),
        ([], "[kettle] = []: must be a table"),
        ("name", "must be a table"),
        (None, "must be a table"),
    ],
)
def test_a_table_with_wrong_keys_is_refused(table, words):
    with pytest.raises(InputError) as caught:
        build(Kettle, table, "[kettle]")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objects_become_plain_tables():
    found = as_plain((Kettle(name="k", marks=(1, 2)), [3]))
    assert found[0]["marks"] == [1, 2]
    assert found[0]["note"] is None
    assert found[1] == [3]
    assert as_plain(Kettle) is Kettle


WORDS = st.text('ab\n"\\é ', max_size=5)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**300), 2**300), st.floats(), WORDS,
    st.lists(st.integers(), max_size=2), st.dictionaries(WORDS, st.none(), max_size=2),
)  # fmt: skip
FIELDS = ["name", "litres", "cups", "steel", "colour", "marks", "note"]


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_any_table_is_read_or_refused(table):
    try:
        found = build(Kettle, table, "[kettle]")
    except InputError:
        return
    assert math.isfinite(found.litres)
    assert 0.1 <= found.litres <= 3
    assert type(found.cups) is int
    assert type(found.steel) is bool
    assert found.colour in ("red", "blue")
