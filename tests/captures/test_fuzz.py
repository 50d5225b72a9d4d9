"""A few hundred recordings edited at random; ``make fuzz`` tries more."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.fuzz.recordings import INPUTS, SOURCES, attempt, try_one


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(INPUTS)
def test_an_edited_recording_is_read_or_refused_in_one_line(one) -> None:
    with tempfile.TemporaryDirectory() as root:
        try_one(*one, Path(root))


def test_those_that_are_edited_are_read_as_they_are() -> None:
    assert {attempt(source) for source in SOURCES} == {"read"}
