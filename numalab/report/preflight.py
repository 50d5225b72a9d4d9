"""Before a notebook runs: what has changed, what is missing, how long it will take."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numalab import versions
from numalab.report import folders, questions
from numalab.report.questions import Job

_DATA = "data"
_NO_CONTENT = ("out", "reproduce", "store")
"""Parameters that say where something is kept, or how it was called."""
_LIBRARIES = ("numpy", "numba", "scipy", "xarray", "pandas", "matplotlib", "seaborn", "salib")
_MOST_FILES = 20_000
"""Of a folder that a parameter names: beyond them nothing is looked at."""
_KERNEL = "python3"
_PEAK_MB = 1000
"""Memory that a notebook takes, where no earlier run says it."""
_IN_USE = 0.8
"""Share of the free memory that notebooks may take."""
_LOOP = 100_000
_COMPILE = """\
from numalab import policy
from numalab.catalog.guests import guest
from numalab.engine import simulate
small = guest(memory_mb=64, vcpus=2, pin_fraction=0.5, thp=False, duration_ms=2000)
simulate(small, policy.get("linux-7.2"), replicates=1)
"""


def key(job: Job, root: Path) -> dict[str, str]:
    """Return a hash of each of what a report is made of; while none changes, it is not made again.

    Returns
    -------
    dict
        ``parameters``: all values; ``notebook``: its cells; ``code``: the modules of numalab that
        it imports, with what these import, and the versions of the libraries; ``data``: the files
        in ``data/``, and those that a parameter names.
    """
    values = {name: value for name, value in job.effective.items() if name not in _NO_CONTENT}
    cells = [(c["cell_type"], c["source"], c["metadata"]) for c in questions.cells(job.notebook)]
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    names = {n for n in questions.imports(job.notebook) if n.startswith("numalab.")}
    used = versions.code_version(*sorted(name.removeprefix("numalab.") for name in names))
    named = [root / text for name, text in job.texts if name in values and _is_beyond_data(text)]
    return {
        "parameters": _hash(values),
        "notebook": _hash(cells),
        "code": _hash([used, _templates(), sys.version_info[:2], libraries]),
        "data": _hash([_content(root / _DATA), [_content(path) for path in named]]),
    }


def _is_beyond_data(text: str) -> bool:
    return "/" in text and not text.startswith(f"{_DATA}/")


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def _templates() -> str:
    return _content(Path(__file__).parent / "templates")


def _content(place: Path) -> str:
    """Return a hash of a file, or of the names and contents of the files in a folder."""
    found = [place] if place.is_file() else itertools.islice(place.rglob("*"), _MOST_FILES)
    paths = sorted(path for path in found if path.is_file())
    try:
        known = [(str(p.relative_to(place)), hashlib.sha256(p.read_bytes())) for p in paths]
    except OSError as error:
        return f"{error.strerror}"
    return _hash([(name, digest.hexdigest()) for name, digest in known])


def missing(job: Job, root: Path) -> list[str]:
    """Name what a notebook needs and cannot have: packages, the Jupyter kernel, files."""
    return [*_packages(job.notebook), *_kernel(), *_files(job, root)]


def _packages(notebook: Path) -> Iterator[str]:
    for name in dict.fromkeys(n.partition(".")[0] for n in questions.imports(notebook)):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            yield f"package {name}"


def _kernel() -> Iterator[str]:
    from jupyter_client.kernelspec import KernelSpecManager

    if _KERNEL not in KernelSpecManager().find_kernel_specs():
        yield f"Jupyter kernel {_KERNEL} (package ipykernel)"


def _files(job: Job, root: Path) -> Iterator[str]:
    """Yield paths that parameters name in the checkout's ``data``, and that are not there."""
    for name, text in job.texts:
        if text.startswith(f"{_DATA}/") and not (root / text).exists():
            yield f"{text} (parameter {name})"


def speed() -> float:
    """Return how fast this machine is at the moment: additions of Python in a microsecond."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        sum(range(_LOOP))
        best = min(best, time.perf_counter() - begin)
    return _LOOP / best / 1e6


def expected_s(job: Job, root: Path, here: float) -> float | None:
    """Return about how long a run takes here, from an earlier one; None: there is none.

    Parameters
    ----------
    job : Job
        Of its question the earlier run is taken that is of the same kind, quick or not: that of
        the report's folder, or that which came with the checkout.
    root : Path
    here : float
        :func:`speed` of this machine.
    """
    stem = job.notebook.stem
    of_checkout = root / "reports" / ("quick" if job.quick else ".") / stem
    for folder in (
        job.folder,
        job.folder.parent / stem,
        job.folder.parent.parent / stem,
        of_checkout,
    ):
        known = folders.status(folder) or {}
        seconds, there = known.get("seconds"), known.get("speed")
        same = known.get("parameters", {}).get("quick") == job.quick
        if same and isinstance(seconds, float) and isinstance(there, float):
            return seconds * there / here
    return None


def at_once(jobs: Sequence[Job], asked: int) -> int:
    """Return how many notebooks to run at once: one for each core, as far as memory allows."""
    if asked:
        return asked
    known = [folders.status(job.folder) or {} for job in jobs]
    peak_mb = max([_PEAK_MB, *(int(one.get("peak_mb", 0)) for one in known)])
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, len(jobs), int(_IN_USE * _free_mb() / peak_mb)))


def _free_mb() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if "MemAvailable" in line)


def compile_engine(say: Callable[[str], None]) -> None:
    """Compile the engine where this version of it never was: once, and not in each notebook."""
    import numba

    from numalab import jit  # noqa: F401  (says where what it compiles is kept)

    if Path(numba.config.CACHE_DIR).exists():  # type: ignore[attr-defined]
        return
    say("the engine is compiled, once for this version of it: about a minute")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", _COMPILE], start_new_session=True, check=False, **quiet)


def in_words(seconds: float) -> str:
    """Return a time as one says it.

    Examples
    --------
    >>> [in_words(s) for s in (7.2, 95, 1500, 9000)]
    ['7 s', '95 s', '25 min', '2.5 h']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
