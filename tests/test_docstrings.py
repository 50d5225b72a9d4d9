"""What docstrings show is what happens."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOWING = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "numalab").rglob("*.py")
    if ">>> " in path.read_text() and path.name != "units.py"  # jitted: tests/test_units.py
)


def test_there_are_examples():
    assert len(SHOWING) > 5


@pytest.mark.parametrize("name", SHOWING)
def test_the_examples_of_a_module_are_right(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
