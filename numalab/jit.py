"""How the engine is compiled: once for each version of its code, for any number of threads.

Numba's own cache looks at the file of a function only, and would run yesterday's callees
after an edit; so each version has a cache folder of its own. None is ever deleted here: they
are the user's (README: Quick start).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numba
from numba import njit

from numalab.versions import compiled_version


def _cache_folder() -> Path:
    if root := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(root) / compiled_version()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "numalab" / "jit" / compiled_version()


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

_OPTIONS: Any = {"cache": True, "nogil": True, "_nrt": False}
jitted: Any = njit(**_OPTIONS)
"""Compile, keep the result on disk, release the GIL, and count no references.

The engine allocates nothing, so the arrays it is handed outlive every call; counting
references to them costs more than the work (measured: a factor of 20 on small runs).
"""

inlined: Any = njit(inline="always", **_OPTIONS)
"""The same, copied into each caller before that is compiled.

A compiled call hands over a World as some 200 numbers, one by one: 0.1 us (measured). What is
copied is compiled with each caller: keep it to functions with few callers.
"""

merged: Any = njit(forceinline=True, **_OPTIONS)
"""The same, compiled by itself and then merged into its callers; for what every fault calls."""

drawing: Any = njit(cache=True, nogil=True)
"""The same for functions that draw from a Generator, which numba counts references to."""
