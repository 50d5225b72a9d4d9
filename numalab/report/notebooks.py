"""Run the question notebooks and leave a report: pages, figures, mails, an index.

A question's folder is trusted only through its ``run.json``, written last: papermill marks the
cells of a killed notebook as completed. A run is made beside the report of the run before, and
takes its place only if it succeeds; a failed one is kept in the folder ``failed`` of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numalab.fields import InputError, unknown_name
from numalab.report import finding, parameters, watched
from numalab.report.index_page import FAILED, STATUS, index_page, question_page, title_of
from numalab.report.page import identity

STORE = ".cache/report"
"""Results that all notebooks of a checkout share, in their parameter ``store``."""
_SCRUBBED = ("papermill", "execution", "exception", "start_time", "end_time", "duration")


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


def declared(notebook: Path) -> dict[str, parameters.Parameter]:
    """Return the declared parameters of a notebook.

    Raises
    ------
    InputError
        If it has no parameters cell, or a bad one.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{notebook.name}: must have one cell tagged 'parameters'")
    return parameters.read("".join(tagged[0]["source"]), notebook.name)


def _publish(folder: Path, replaced: dict[str, str], status: dict[str, Any]) -> None:
    """Take times and paths out of the executed notebook, and make its page."""
    import nbformat
    from nbconvert import HTMLExporter

    path = folder / "executed.ipynb"
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    for found, other in replaced.items():
        text = text.replace(found, other)
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in _SCRUBBED:
            cell.metadata.pop(key, None)
    nbformat.write(notebook, path)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    page = question_page(folder, title_of(notebook.cells), body, status)
    (folder / "index.html").write_text(page, encoding="utf-8")


def command(name: str, assignments: list[str], quick: bool) -> str:
    """Return the command that runs a question so, and the code behind it.

    Examples
    --------
    >>> command("q02", ["pin_fractions=[0.0, 1.0]"], True).partition("  #")[0]
    "numalab report q02 --quick --param 'pin_fractions=[0.0, 1.0]'"
    """
    given = ["numalab", "report", name, *["--quick"] * quick]
    given += [word for text in assignments for word in ("--param", text)]
    return f"{shlex.join(given)}  # {identity()}"


def run_question(notebook: Path, folder: Path, values: dict[str, Any], root: Path) -> str:
    """Run one question into its folder; return why it failed, or "".

    Raises
    ------
    InputError
        For an unknown parameter or a value of the wrong type, before anything runs.
    """
    known = declared(notebook)
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"parameter of {notebook.name}", name, list(known))
        parameters.check(known[name], value, notebook.name)
    beside = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    shared = {"store": STORE} if "store" in known else {}
    out = str(beside.relative_to(root) if beside.is_relative_to(root) else beside)
    values = shared | {"out": out} | values
    try:
        reason = watched.run(notebook, beside, values, root)
    except KeyboardInterrupt:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if not reason and finding.read(beside) is None:
        reason = "the notebook left no finding"
    home = folder / FAILED if reason else folder
    final = out.removesuffix(beside.name) + str(home.relative_to(folder.parent))
    replaced = {f"{root}/": "", out: final}
    status = {
        "notebook": notebook.name,
        "status": "failed" if reason else "ok",
        "reason": re.sub(re.escape(str(root)) + "/?", "", reason),
        "parameters": {n: known[n].default for n in known} | values | {"out": final},
        "code": identity(),
    }
    _publish(beside, replaced, status)
    _put(beside, home, folder, status)
    return str(status["reason"])


def _put(beside: Path, home: Path, folder: Path, status: dict[str, Any]) -> None:
    """Move a run to its place, with its status, which is written last."""
    files = [path for path in sorted(beside.iterdir()) if path.is_file()]
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    text = json.dumps(status | {"sha256": hashes}, indent=1) + "\n"
    (beside / STATUS).write_text(text, encoding="utf-8")
    home.parent.mkdir(parents=True, exist_ok=True)
    before = folder.with_name(folder.name + ".before")
    if home.exists():
        shutil.rmtree(before, ignore_errors=True)
        home.rename(before)
    beside.rename(home)
    shutil.rmtree(before, ignore_errors=True)


def _write_index(path: Path, page: str) -> None:
    """Write the index; the old one stays until the new one is whole."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def run(
    root: Path,
    names: list[str],
    assignments: list[str],
    *,
    quick: bool,
    out: Path,
    say: Callable[[str], None],
) -> list[str]:
    """Run questions and write the index; return the names of those that failed.

    Raises
    ------
    InputError
        For an unknown question or parameter.
    KeyboardInterrupt
        After Ctrl-C; says which questions are done, and where.
    """
    known = questions(root)
    for name in names:
        if name not in known:
            raise unknown_name("question", name, list(known))
    chosen = names or list(known)
    if assignments and len(chosen) != 1:
        raise InputError("--param belongs to one question: name it, as in: report q02 --param ...")
    todo = {name: _values(known[name], assignments, quick) for name in chosen}
    failed: list[str] = []
    done: list[str] = []
    try:
        for name, values in todo.items():
            values["reproduce"] = command(name, assignments, quick)
            say(f"{name}: {known[name].stem}")
            reason = run_question(known[name], out / known[name].stem, values, root)
            say(f"{name}: {'failed: ' + reason if reason else 'done'}")
            (failed if reason else done).append(name)
    except KeyboardInterrupt:
        parts = {"done": done, "failed": failed}
        ended = [f"{word}: {', '.join(names)}" for word, names in parts.items() if names]
        where = f"; {', '.join(ended)}; see {out / 'index.html'}" if ended else "; none is done"
        raise KeyboardInterrupt(f"stopped at {name}{where}") from None
    finally:
        if out.is_dir():
            _write_index(out / "index.html", index_page(known, out))
    return failed


def _values(notebook: Path, assignments: list[str], quick: bool) -> dict[str, Any]:
    """Return what a notebook is given; of a quick run, given values go before quick ones."""
    known = declared(notebook)
    for name in ("root_seed", "replicates", "quick", "out", "reproduce"):
        if name not in known:
            raise InputError(f"{notebook.name}: parameter {name} is missing")
    values = parameters.given(known, assignments, notebook.name)
    for name in {"out", "reproduce"} & {*values}:
        raise InputError(f"parameter {name}: the report sets it: use --out")
    return parameters.quick_values(known) | values if quick else values
