"""One unit of work of a sweep: some replicates of one point, on any machine."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np

from numalab.engine import Start
from numalab.fields import InputError, as_identity, as_plain
from numalab.policy import Policy
from numalab.totals import run_totals
from numalab.workload import Workload

_FOLDER = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Replicates ``first`` to ``first + count - 1`` of a point."""

    number: int
    """Of the point, within its sweep."""
    workload: Workload
    policy: Policy
    seed: int
    first: int
    count: int


class Outcome(typing.NamedTuple):
    """What became of a job; ``reason`` is empty unless it failed."""

    job: Job
    totals: np.ndarray | None
    """int64[count, n_total], columns as in :data:`numalab.totals.NAMES`; stopped: less."""
    reason: str
    model: str
    """Version of the model that ran it."""


def run(job: Job, stop: Callable[[], bool] | None = None) -> Outcome:
    """Run a job; an error is an outcome too, so that it does not stop the others.

    Parameters
    ----------
    job : Job
    stop : callable, optional
        Asked before each replicate; once it says so, the outcome holds those so far.
    """
    replicates = range(job.first, job.first + job.count)
    try:
        found = run_totals(
            Start(workload=job.workload),
            job.policy,
            seed=job.seed,
            replicates=replicates,
            stop=stop,
        )
    except InputError as error:
        return Outcome(job, None, str(error), model_version())
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Outcome(job, None, reason, model_version())
    return Outcome(job, found, "", model_version())


def _imported(path: Path) -> set[Path]:
    """Return the files of this package that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numalab":
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {_FOLDER.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in names}
    return {file for file in files if file.is_file() and file.parent != _FOLDER.parent}


def sources() -> list[Path]:
    """Return every module of the package that :func:`run_totals` reaches, with its own."""
    found: set[Path] = set()
    new = {_FOLDER / "totals.py"}
    while new:
        found |= new
        new = {file for path in new for file in _imported(path)} - found
    return sorted(found)


@functools.cache
def model_version() -> str:
    """Hash of the sources that a run's numbers come from, and of what draws and compiles.

    An edit to any of them makes a sweep run anew.
    """
    digest = hashlib.sha256(f"numpy {np.__version__} numba {numba.__version__}".encode())
    for path in sources():
        digest.update(path.relative_to(_FOLDER).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def key_of(workload: Workload, policy: Policy, seed: int) -> bytes:
    """SHA-256 of all that the numbers of a point follow from, but the replicate.

    The policy counts by its rules and not by its name; the workload without its name and
    what it says about itself; numbers by their value, so that 50 and 50.0 are one.
    """
    nouns = as_identity(workload)
    for said_only in ("name", "about"):
        del nouns[said_only]
    said = [_canonical(nouns), _canonical(as_plain(policy.rules())), seed, model_version()]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _canonical(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
