"""For notebooks and scripts: names, paths and lists where the rest takes objects and tuples.

``load`` and ``simulate`` are those of :mod:`numalab.workload_file` and :mod:`numalab.engine`,
``replace`` is that of :mod:`dataclasses`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import xarray as xr

from numalab import engine, remedies, workload_file
from numalab.policy import Policy
from numalab.workload import Workload

T = TypeVar("T")


def load(path: str | Path) -> Workload:
    """Read a workload file; a path that is not here is looked for in each folder above.

    So ``data/workloads/thp.toml`` is found from a notebook in ``notebooks/`` too.

    Raises
    ------
    InputError
        If the file cannot be read or says something impossible.
    """
    above = [folder / path for folder in Path.cwd().parents]
    return workload_file.load(next((p for p in [Path(path), *above] if p.exists()), path))


def simulate(
    workload: Workload | str | Path, policy: Policy | str = "linux-7.2", **options: Any
) -> xr.Dataset:
    """Run a workload on the model of a kernel, both by name if you like.

    Parameters
    ----------
    workload : Workload, str or Path
        Or the path of its file.
    policy : Policy or str
        Or its name: ``linux-7.2``, ``linux-7.2+mbind``, ``6.12.117``.
    **options
        ``replicates``, ``seed`` and ``setup`` of :func:`numalab.engine.simulate`.

    Returns
    -------
    xarray.Dataset
        The schema of :mod:`numalab.schema` with dimension ``replicate`` in front.

    Raises
    ------
    InputError
        For a name that does not exist, naming the nearest; else as the engine.
    """
    given = workload if isinstance(workload, Workload) else load(workload)
    rules = policy if isinstance(policy, Policy) else remedies.get(policy)
    return engine.simulate(given, rules, **options)


def replace(given: T, **changes: Any) -> T:
    """Return a workload, or a part of one, with some fields changed; lists may be lists.

    Raises
    ------
    InputError
        For a value that the field cannot have.

    Examples
    --------
    >>> from numalab.task import Access, Task
    >>> replace(Task(name="t"), access=[Access(vma="a")]).access[0].vma
    'a'
    """
    frozen = {key: _frozen(value) for key, value in changes.items()}
    return dataclasses.replace(given, **frozen)  # type: ignore[type-var]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
