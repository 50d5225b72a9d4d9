"""How the engine is compiled: once for each version of its source, for any number of threads.

Numba's own cache looks at the file of a function only, and would run yesterday's callees
after an edit; so each state of the package's source has a cache folder of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numba
from numba import njit

_KEPT_DAYS = 14


def source_state() -> str:
    """Hash of the source that is compiled, and of the constants that go into it."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_bytes()
        if b"from numalab.jit import" in text or path.name == "units.py":
            found.update(text)
    return found.hexdigest()[:16]


def _cache_folder() -> Path:
    root = os.environ.get("NUMBA_CACHE_DIR")
    if root:
        return Path(root) / source_state()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "numalab" / "jit"
    oldest = time.time() - _KEPT_DAYS * 86400
    for old in folder.glob("*"):
        if old.stat().st_mtime < oldest:
            shutil.rmtree(old, ignore_errors=True)
    return folder / source_state()


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

_OPTIONS: Any = {"cache": True, "nogil": True, "_nrt": False}
jitted: Any = njit(**_OPTIONS)
"""Compile, keep the result on disk, release the GIL, and count no references.

The engine allocates nothing, so the arrays it is handed outlive every call; counting
references to them costs more than the work (measured: a factor of 20 on small runs).
"""

inlined: Any = njit(forceinline=True, **_OPTIONS)
"""The same, made part of its callers.

A compiled call hands over a World as some 200 numbers, one by one, which costs more than most
functions do (measured: the tick loop takes 1.9 times as long without this).
"""

drawing: Any = njit(cache=True, nogil=True)
"""The same for functions that draw from a Generator, which numba counts references to."""
