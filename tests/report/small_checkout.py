"""A checkout of small notebooks, and reports of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from numalab.report import folders, notebooks, questions, watched
from numalab.report.questions import Job

PARAMETERS = """n: int = 4  # things; at least 1; quick: 2
names: list[str] = ["a"]  # of things
share: float = 0.5  # of things; at most 1
root_seed: int = 1  # root of the random streams
replicates: int = 3  # runs
quick: bool = False  # texts say so
out: str = "reports/run/q01"  # folder
reproduce: str = "in jupyter lab"  # last line
"""
ANSWER = """from numalab import report
page = report.Page("Why?", out=out, quick=quick, reproduce=reproduce)
page.answer(f"Because of {n} and {names}. No more.")
page.save()
"""


def _cell(number: int, source: str, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"c{number}",
        "metadata": metadata,
        "outputs": [],
        "execution_count": None,
        "source": [source],
    }


def checkout(root: Path, **sources: str | list[str]) -> None:
    """Write a notebook ``NAME_why`` for each name, of one cell or more."""
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    (root / "data/captures").mkdir(parents=True, exist_ok=True)
    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": ["# Why?"]}
    for name, source in sources.items():
        texts = [source] if isinstance(source, str) else source
        cells = [title, _cell(0, PARAMETERS, tags=["parameters"])]
        cells += [_cell(number, text) for number, text in enumerate(texts, 1)]
        about = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
        book = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        (root / f"notebooks/{name}_why.ipynb").write_text(json.dumps(book))


def run(root: Path, out: Path, say: Any = lambda _: None, **asked: Any) -> list[str]:
    """Make a report, a quick one unless it is asked for another."""
    request = notebooks.Request(**{"quick": True, "out": out} | asked)
    return notebooks.run(root, request, say)


def job(path: Path, out: Path) -> Job:
    """Return a quick run of a notebook."""
    return Job(
        name=path.stem,
        question=path.stem,
        notebook=path,
        folder=out / path.stem,
        declared=questions.declared(path),
        given={},
        quick=True,
    )


def answers(
    notebook: Path, folder: Path, values: dict[str, Any], root: Path, stop: threading.Event
) -> watched.End:
    """Take the place of ``watched.run``: leave an answer at once, or fail where ``n`` is 9."""
    (folder / "executed.ipynb").write_text(notebook.read_text())
    found = folders.Finding(
        question="Why?",
        answer=f"Because of {values.get('n', 4)}. No more.",
        figure="",
        quick=values.get("quick", False),
        source="simulated",
    )
    folders.write_finding(
        folder, found, "simulated: why?\n\nreproduce: " + values["reproduce"] + "\n"
    )
    return watched.End(reason="ValueError: nine" if values.get("n") == 9 else "")
