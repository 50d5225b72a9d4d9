"""The static pages of a report, readable on a phone, in light and in dark, and without network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from numalab import files
from numalab.report import cleaned, folders, parameter_sets, questions
from numalab.report.folders import FAILED, STATUS
from numalab.report.questions import Job

GENERATOR = '<meta name="generator" content="numalab report">'
THUMBNAIL = "thumbnail.png"
COMPARISON = "index.html"
"""Of a series, in its folder."""
_LINKS = {
    "index.html": "notebook",
    "mail.txt": "text for a mail",
    "executed.ipynb": "executed.ipynb",
    STATUS: STATUS,
}
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_SET_BY_REPORT = ("store", "out", "reproduce", "quick")
_SCRUBBED = ("papermill", "execution", "exception", "start_time", "end_time", "duration")
_TEXTS = (folders.FINDING, "mail.txt")
_THUMBNAIL_WIDTH = 480
_THUMBNAIL_COLOURS = 64


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)


def title_of(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return the first line of a notebook, without the mark of a heading."""
    source = cells[0]["source"] if cells else ""
    return ("".join(source).splitlines() or [""])[0].lstrip("# ")


def _entry(folder: Path, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page shows of a run: its state, its verdict, its picture, its parameters."""
    status, failed = folders.status(folder), folders.status(folder / FAILED)
    found = folders.read_finding(folder) if status else None
    last = status or failed or {}
    given, ended = last.get("parameters", {}), str(last.get("ended", ""))
    own = {n: v for n, v in given.items() if n in declared and n not in _SET_BY_REPORT}
    return {
        "status": status,
        "failed": failed,
        "reason": cleaned.line(str(failed["reason"])) if failed else "",
        "finding": found,
        "verdict": _END_OF_SENTENCE.split(found.answer)[0] if found else "",
        "picture": next((n for n in _pictures(found) if (folder / n).is_file()), ""),
        "parameters": parameter_sets.label(own),
        "changed": parameter_sets.label(
            {n: v for n, v in own.items() if v != declared[n].default}
        ),
        "date": ended[:10],
        "ended": ended,
        "links": [link for link in _LINKS.items() if (folder / link[0]).exists()],
    }  # fmt: skip


def _pictures(found: folders.Finding | None) -> list[str]:
    return [THUMBNAIL, Path(found.figure).name] if found and found.figure else []


def index_page(known: Mapping[str, Path], out: Path) -> str:
    """Return the HTML of the index.

    Parameters
    ----------
    known : mapping
        Short name of each question to its notebook.
    out : Path
        The report's folder; a question without ``run.json`` is shown as not run.
    """
    entries = []
    for name, path in known.items():
        series = out / f"{path.stem}.series" / COMPARISON
        about = {
            "name": name,
            "title": title_of(questions.cells(path)),
            "stem": path.stem,
            "series": f"{series.parent.name}/{series.name}" if series.is_file() else "",
        }
        entries.append(_entry(out / path.stem, questions.declared(path)) | about)
    return _render("index.html", title="numalab report", questions=entries)


def series_page(jobs: Sequence[Job]) -> str:
    """Return the HTML that compares the runs of one notebook with several sets of parameters."""
    declared = jobs[0].declared
    entries = [_entry(job.folder, declared) | {"folder": job.folder.name} for job in jobs]
    sets = parameter_sets.varied([job.effective for job in jobs])
    names = list(sets[0])
    title = title_of(questions.cells(jobs[0].notebook))
    rows = [[parameter_sets.text(one.get(name, "")) for name in names] for one in sets]
    shared = {n: v for n, v in jobs[0].effective.items() if n not in (*names, *_SET_BY_REPORT)}
    return _render(
        "series.html",
        title=f"{title} ({len(jobs)} sets of parameters)",
        names=names,
        rows=list(zip(rows, entries, strict=True)),
        shared=parameter_sets.label(shared),
    )


def publish(folder: Path, scrub: cleaned.Scrub, status: dict[str, Any]) -> None:
    """Take times, paths and control characters out of a run's files, and make its page.

    Parameters
    ----------
    folder : Path
        Holds what the notebook left, and ``executed.ipynb`` if it was begun.
    scrub : function
        Takes what belongs to this machine out of a text.
    status : dict
        What becomes ``run.json``.
    """
    for name in _TEXTS:
        path = folder / name
        if path.is_file():
            files.write(path, cleaned.printable(scrub(path.read_text(encoding="utf-8"))))
    _thumbnail(folder)
    path = folder / "executed.ipynb"
    if not path.exists():
        return
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in _SCRUBBED:
            cell.metadata.pop(key, None)
    cleaned.clean(notebook.cells, scrub)
    files.write(path, nbformat.writes(notebook) + "\n")
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    reason = status["reason"]
    page = _render(
        "question.html", title=title_of(notebook.cells), body=body, reason=reason,
        code=status["code"], finding=folders.read_finding(folder), up="../" * (1 + bool(reason)),
    )  # fmt: skip
    files.write(folder / "index.html", page)


def _thumbnail(folder: Path) -> None:
    """Make a small picture of the main figure, if there is one."""
    found = folders.read_finding(folder)
    if found is None or not found.figure:
        return
    from PIL import Image

    try:
        with Image.open(folder / Path(found.figure).name) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return
    small.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH))
    with files.replacing(folder / THUMBNAIL) as part:
        small.quantize(_THUMBNAIL_COLOURS).save(part, format="PNG", optimize=True)


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(generator=GENERATOR, **values) + "\n"
