"""Run the question notebooks and leave a report: pages, figures, mails, an index.

A question's folder is trusted only through its ``run.json``, written last: papermill
marks the cells of a killed notebook as completed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing as mp
import os
import queue
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numalab import __version__
from numalab.fields import InputError, unknown_name
from numalab.report import finding, parameters
from numalab.report.index_page import index_page
from numalab.sweeps.job import model_version

STATUS = "run.json"
LIMIT_S = 1800.0


def questions(root: Path) -> dict[str, Path]:
    """Return the question notebooks of a checkout by short name, ``q01`` and so on."""
    found = {path.name.split("_")[0]: path for path in sorted(root.glob("notebooks/q*.ipynb"))}
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


def code_identity(root: Path) -> str:
    """Commit of a checkout, with the hash of its uncommitted changes if there are any."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD").strip() or "unknown"
    changes = git("diff", "HEAD", "--", "numalab", "notebooks", "data")
    if not changes:
        return commit
    return f"{commit}-dirty-{hashlib.sha1(changes.encode()).hexdigest()[:12]}"


def _execute(notebook: str, folder: str, values: dict[str, Any], root: str, out: Any) -> None:
    """Run one notebook in this process, and say how it ended."""
    os.chdir(root)
    import papermill

    if sys.stdout is not None:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
    try:
        papermill.execute_notebook(
            notebook,
            f"{folder}/executed.ipynb",
            parameters=values,
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            cwd=root,
        )
        out.put("")
    except BaseException as error:
        name = getattr(error, "ename", type(error).__name__)
        value = getattr(error, "evalue", str(error)) or str(error)
        out.put(f"{name}: {str(value).strip().splitlines()[-1] if str(value).strip() else ''}")


def _watched(notebook: Path, folder: Path, values: dict[str, Any], root: Path) -> str:
    """Run a notebook in a process of its own under a watchdog; return why it failed, or ""."""
    context = mp.get_context("spawn")
    out: Any = context.Queue()
    words = (str(notebook), str(folder), values, str(root), out)
    process = context.Process(target=_execute, args=words)
    process.start()
    try:
        return str(out.get(timeout=LIMIT_S))
    except queue.Empty:
        return f"no end after {LIMIT_S:.0f} s"
    finally:
        process.join(20)
        if process.is_alive():
            process.kill()


def _publish(folder: Path, root: Path) -> None:
    """Scrub the executed notebook of times and paths, and make its page."""
    import nbformat
    from nbconvert import HTMLExporter

    path = folder / "executed.ipynb"
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8").replace(str(root) + "/", "")
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution", "exception", "start_time", "end_time", "duration"):
            cell.metadata.pop(key, None)
    nbformat.write(notebook, path)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    title = next((c.source.splitlines()[0].lstrip("# ") for c in notebook.cells if c.source), "")
    (folder / "index.html").write_text(_page(title, body), encoding="utf-8")


def _page(title: str, body: str) -> str:
    style = (
        "body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;"
        "color:#1b1b1b;background:#fff}pre{overflow-x:auto;font:13px/1.4 ui-monospace,monospace;"
        "background:#f4f4f2;padding:.6rem;border-radius:4px}img{max-width:100%;background:#fff}"
        ".prompt,.jp-InputPrompt,.jp-OutputPrompt,.anchor-link{display:none}a{color:#2a6f97}"
        "@media(prefers-color-scheme:dark){body{color:#e6e6e3;background:#191918}"
        "pre{background:#262624}a{color:#8fc1e3}}"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{title}</title><style>{style}</style><p><a href="../index.html">all questions'
        f"</a></p>{body}</html>\n"
    )


def command(name: str, words: list[str], quick: bool) -> str:
    """Return the command that runs a question so, and the version of the model behind it.

    Examples
    --------
    >>> command("q02", ["pin_fractions=[0.0, 1.0]"], True).partition("  #")[0]
    "numalab report q02 --quick --param 'pin_fractions=[0.0, 1.0]'"
    """
    said = ["numalab", "report", name, *["--quick"] * quick]
    said += [word for given in words for word in ("--param", given)]
    return f"{shlex.join(said)}  # numalab {__version__}, model {model_version()}"


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    values = {"out": str(folder.relative_to(root) if folder.is_relative_to(root) else folder)} | (
        values
    )
    reason = _watched(notebook, folder, values, root)
    reason = re.sub(re.escape(str(root)) + "/?", "", reason)
    _publish(folder, root)
    if not reason and finding.read(folder) is None:
        reason = "the notebook left no finding"
    status = {
        "notebook": notebook.name,
        "status": "failed" if reason else "ok",
        "reason": reason,
        "parameters": {name: known[name].default for name in known} | values,
        "numalab": __version__,
        "code": code_identity(root),
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.iterdir())
        },
    }
    part = folder / (STATUS + ".part")
    part.write_text(json.dumps(status, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / STATUS)
    return reason


def run(
    root: Path,
    names: list[str],
    words: list[str],
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
    """
    known = questions(root)
    for name in names:
        if name not in known:
            raise unknown_name("question", name, list(known))
    chosen = names or list(known)
    if words and len(chosen) != 1:
        raise InputError("--param belongs to one question: name it, as in: report q02 --param ...")
    failed = []
    for name in chosen:
        notebook = known[name]
        values = parameters.given(declared(notebook), words, notebook.name)
        if quick:  # what is given says more
            values = parameters.quick_values(declared(notebook)) | values
        values["reproduce"] = command(name, words, quick)
        say(f"{name}: {notebook.stem}")
        reason = run_question(notebook, out / notebook.stem, values, root)
        say(f"{name}: {'failed: ' + reason if reason else 'done'}")
        if reason:
            failed.append(name)
    (out / "index.html").write_text(index_page(known, out), encoding="utf-8")
    return failed
