"""What the tests of the recorder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record.kernels import GENERATIONS, Recorded, recorded_on


@pytest.fixture(scope="session", params=GENERATIONS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """What each kernel gave."""
    return recorded_on(request.param)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file that looks like a kernel."""
    path = tmp_path / "bzImage"
    path.write_bytes(b"\0" * 0x1FE + b"\x55\xaa\0\0HdrS" + b"\0" * 64)
    return path
