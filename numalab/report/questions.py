"""The question notebooks of a checkout, and what each is given."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numalab.fields import InputError
from numalab.report import parameter_sets, parameters

STORE = ".cache/report"
"""Results that all notebooks of a checkout share, in their parameter ``store``."""
REQUIRED = ("root_seed", "replicates", "quick", "out", "reproduce")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run of a notebook."""

    name: str
    """Of the question, and of its set of parameters if it is one of several."""
    question: str
    notebook: Path
    folder: Path
    declared: Mapping[str, parameters.Parameter]
    given: Mapping[str, Any]
    """Values that were asked for, by name."""
    quick: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """What its parameters cell is given; of a quick run, given values go before quick ones."""
        shared = {"store": STORE} if "store" in self.declared else {}
        quick = parameters.quick_values(self.declared) if self.quick else {}
        return shared | quick | dict(self.given)

    @property
    def effective(self) -> dict[str, Any]:
        """Value of each parameter, defaults included."""
        return {n: p.default for n, p in self.declared.items()} | self.values

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Each text that a parameter is or lists, with the parameter's name before it."""
        values = {n: v if isinstance(v, list) else [v] for n, v in self.effective.items()}
        return [(n, one) for n, items in values.items() for one in items if isinstance(one, str)]


def questions(root: Path) -> dict[str, Path]:
    """Return the question notebooks of a checkout by short name, ``q01`` and so on."""
    found: dict[str, Path] = {}
    for path in sorted(root.glob("notebooks/q*.ipynb")):
        name = path.stem.split("_")[0]
        if name in found:
            raise InputError(f"{name} is two notebooks: {found[name].name} and {path.name}")
        found[name] = path
    if not found:
        raise InputError(f"{root}: no notebooks/q*.ipynb here; run this from the checkout")
    return found


def cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook.

    Raises
    ------
    InputError
        If it is no notebook.
    """
    try:
        return list(json.loads(notebook.read_text(encoding="utf-8"))["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{notebook.name}: is no notebook that can be read") from None


def code(notebook: Path) -> list[str]:
    """Return the sources of the code cells of a notebook."""
    return ["".join(c["source"]) for c in cells(notebook) if c["cell_type"] == "code"]


def imports(notebook: Path) -> Iterator[str]:
    """Yield the modules that a notebook imports, and what it takes from them, by full names."""
    for source in code(notebook):
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # a magic of IPython, or a fault that the run will show
            continue
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


def declared(notebook: Path) -> dict[str, parameters.Parameter]:
    """Return the declared parameters of a notebook.

    Raises
    ------
    InputError
        If it has no parameters cell, a bad one, or one without what every report sets.
    """
    tagged = [c for c in cells(notebook) if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{notebook.name}: must have one cell tagged 'parameters'")
    known = parameters.read("".join(tagged[0]["source"]), notebook.name)
    for name in REQUIRED:
        if name not in known:
            raise InputError(f"{notebook.name}: parameter {name} is missing")
    return known


def jobs(name: str, notebook: Path, tables: list[dict[str, Any]], out: Path) -> list[Job]:
    """Return the runs of a question: one, or one for each set of parameters.

    Parameters
    ----------
    name : str
        Of the question.
    notebook : Path
    tables : list of dict
        See :func:`numalab.report.parameter_sets.combine`.
    out : Path
        Folder of the report. A series is in ``STEM.series`` of it, a folder for each set.

    Raises
    ------
    InputError
        For a parameter that the notebook does not have or take.
    """
    known = declared(notebook)
    sets = parameter_sets.combine(known, tables, notebook.name)
    plain = Job(
        name=name, question=name, notebook=notebook, folder=out / notebook.stem,
        declared=known, given={},
    )  # fmt: skip
    if len(sets) <= 1:
        return [replace(plain, given=one) for one in sets or [{}]]
    series = out / f"{notebook.stem}.series"
    return [
        replace(
            plain,
            name=f"{name} {parameter_sets.label(part)}",
            folder=series / f"{name}_{parameter_sets.folder_name(part)}",
            given=one,
        )
        for one, part in zip(sets, parameter_sets.varied(sets), strict=True)
    ]
