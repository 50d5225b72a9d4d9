"""What a report is made of, by content: it is not made again while nothing of it has changed."""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numalab import versions
from numalab.report import questions
from numalab.report.questions import Job

DATA = "data"
_NO_CONTENT = ("out", "reproduce", "store")
"""Parameters that say where something is kept, or how it was called."""
_LIBRARIES = ("numpy", "numba", "scipy", "xarray", "pandas", "matplotlib", "seaborn", "salib")

_MOST_FILES = 20_000
"""Of a folder that a parameter names: beyond them nothing is looked at."""


def key(job: Job, root: Path) -> dict[str, str]:
    """Return a hash of each of what a report is made of.

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
    used = versions.code_version(*sorted(_modules(job.notebook)))
    return {
        "parameters": _hash(values),
        "notebook": _hash(cells),
        "code": _hash([used, _templates(), sys.version_info[:2], libraries]),
        "data": _hash([_content(root / DATA), [_content(p) for p in _named(values, root)]]),
    }


def differences(before: dict[str, Any], now: dict[str, str]) -> list[str]:
    """Name what has changed since a run; all of it for a run that did not say."""
    known = before.get("key")
    return [name for name in now if not isinstance(known, dict) or known.get(name) != now[name]]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _modules(notebook: Path) -> set[str]:
    """Return the modules of numalab that a notebook names in its imports."""
    found = set()
    for source in questions.code(notebook):
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # a magic of IPython, or a fault that the run will show
            continue
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name.removeprefix("numalab.") for name in found if name.startswith("numalab.")}


@functools.cache
def _templates() -> str:
    return _content(Path(__file__).parent / "templates")


def _named(values: dict[str, Any], root: Path) -> Iterator[Path]:
    """Yield the files and folders beyond ``data/`` that parameters name."""
    for value in values.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "/" in text and not text.startswith(f"{DATA}/"):
                yield root / text


def _content(place: Path) -> str:
    """Return a hash of a file, or of the names and contents of the files in a folder."""
    found = [place] if place.is_file() else itertools.islice(place.rglob("*"), _MOST_FILES)
    paths = sorted(path for path in found if path.is_file())
    try:
        known = [(str(p.relative_to(place)), hashlib.sha256(p.read_bytes())) for p in paths]
    except OSError as error:
        return f"{error.strerror}"
    return _hash([(name, digest.hexdigest()) for name, digest in known])
