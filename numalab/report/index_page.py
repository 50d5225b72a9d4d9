"""The static pages of a report, readable on a phone, in light and in dark."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from numalab.report import finding

STATUS = "run.json"
FAILED = "failed"
_LINKS = {
    "index.html": "notebook",
    "mail.txt": "text for a mail",
    "executed.ipynb": "executed.ipynb",
    STATUS: STATUS,
}


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)


def _status(folder: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def title_of(cells: list[Any]) -> str:
    """Return the first line of a notebook, without the mark of a heading."""
    source = cells[0]["source"] if cells else ""
    return ("".join(source).splitlines() or [""])[0].lstrip("# ")


def index_page(known: dict[str, Path], out: Path) -> str:
    """Return the HTML of the index.

    Parameters
    ----------
    known : dict
        Short name of each question to its notebook.
    out : Path
        The report's folder; a question without ``run.json`` is shown as not run.
    """
    questions = []
    for name, path in known.items():
        folder = out / path.stem
        status = _status(folder)
        questions.append(
            {
                "name": name,
                "title": title_of(json.loads(path.read_text(encoding="utf-8"))["cells"]),
                "stem": path.stem,
                "status": status,
                "failed": _status(folder / FAILED),
                "finding": finding.read(folder) if status else None,
                "links": [link for link in _LINKS.items() if (folder / link[0]).exists()],
            }
        )
    page = _templates().get_template("index.html")
    return page.render(title="numalab report", questions=questions) + "\n"


def question_page(folder: Path, title: str, body: str, status: dict[str, Any]) -> str:
    """Return the HTML of a question: its answer, then its notebook.

    Parameters
    ----------
    folder : Path
        Of its finding, if there is one.
    title, body : str
        Of the executed notebook; ``body`` is HTML.
    status : dict
        What becomes ``run.json``.
    """
    reason = status["reason"]
    return _templates().get_template("question.html").render(
        title=title, body=body, reason=reason, code=status["code"],
        finding=finding.read(folder), up="../../" if reason else "../",
    ) + "\n"  # fmt: skip
