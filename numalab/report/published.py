"""From an executed notebook to what is read: its page, its thumbnail, its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numalab import files
from numalab.report import cleaned, finding
from numalab.report.index_page import THUMBNAIL, question_page, title_of

_SCRUBBED = ("papermill", "execution", "exception", "start_time", "end_time", "duration")
_TEXTS = (finding.FILE, "mail.txt")
_THUMBNAIL_WIDTH = 480
_THUMBNAIL_COLOURS = 64


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
    page = question_page(folder, title_of(notebook.cells), body, status)
    files.write(folder / "index.html", page)


def _thumbnail(folder: Path) -> None:
    """Make a small picture of the main figure, if there is one."""
    found = finding.read(folder)
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
