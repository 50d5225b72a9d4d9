"""Run the question notebooks and leave a report: pages, figures, mails, an index.

A question's folder is trusted only through its ``run.json``, written last: papermill marks the
cells of a killed notebook as completed. A run is made beside the report of the run before, and
takes its place only if it succeeds; a failed one is kept in the folder ``failed`` of it.
"""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numalab import files
from numalab.fields import InputError, unknown_name
from numalab.report import (
    cleaned,
    folders,
    parameter_sets,
    preflight,
    questions,
    watched,
)
from numalab.report.page import identity
from numalab.report.progress import Progress
from numalab.report.published import COMPARISON, GENERATOR, index_page, publish, series_page
from numalab.report.questions import Job

INDEX = "index.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a report is asked for."""

    names: list[str] = field(default_factory=list)
    """Questions; none: all."""
    words: list[str] = field(default_factory=list)
    """``name=value``, for the notebook of one question."""
    params: Path | None = None
    """File with sets of parameters, for the notebook of one question."""
    quick: bool = False
    again: bool = False
    """Run what has not changed too."""
    workers: int = 0
    """Notebooks at once; 0: one for each core, as far as memory allows."""
    out: Path
    """Folder of the report."""


def command(question: str, given: Mapping[str, Any], *, quick: bool = False) -> str:
    """Return the command that makes a run again, and the code behind it."""
    words = ["numalab", "report", question, *["--quick"] * quick]
    for name, value in given.items():
        words += ["--param", parameter_sets.word(name, value)]
    return f"{shlex.join(words)}  # {identity()}"


def run_job(job: Job, root: Path, stop: threading.Event) -> str:
    """Run a notebook into its folder; return why it failed, or "".

    Raises
    ------
    StoppedError
        After ``stop`` was set.
    """
    try:
        beside = folders.begin(job.folder)
        try:
            return _run_beside(job, beside, root, stop)
        finally:
            folders.discard(beside)
    except OSError as error:
        return f"{job.folder.name}: cannot be written: {error.strerror or error}"
    except watched.StoppedError:
        raise
    except Exception as error:  # what one notebook leaves does not stop the others
        name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        return cleaned.line(name + str(error).replace(f"{root}/", ""))


def _run_beside(job: Job, beside: Path, root: Path, stop: threading.Event) -> str:
    out = str(beside.relative_to(root) if beside.is_relative_to(root) else beside)
    values = job.values | {
        "out": out,
        "reproduce": command(job.question, job.given, quick=job.quick),
    }
    key, begin = preflight.key(job, root), time.monotonic()
    end = watched.run(job.notebook, beside, values, root, stop)
    reason = end.reason
    if not reason and folders.read_finding(beside) is None:
        reason = "the notebook left no finding"
    home = job.folder / folders.FAILED if reason else job.folder
    inside = job.folder.is_relative_to(root)
    final = str(home.relative_to(root) if inside else home.relative_to(job.folder.parent))
    scrub = cleaned.scrub({out: final, f"{root}/": "", str(root): "."})
    parameters = job.effective | values | {"out": final}
    status = {
        "notebook": job.notebook.name,
        "status": "failed" if reason else "ok",
        "reason": cleaned.line(scrub(reason)),
        "parameters": {n: scrub(v) if isinstance(v, str) else v for n, v in parameters.items()},
        "code": identity(),
        "key": key,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - begin, 1),
        "speed": round(preflight.speed(), 1),
        "peak_mb": end.peak_mb,
    }
    publish(beside, scrub, status)
    folders.put(beside, home, status)
    return str(status["reason"])


def run(root: Path, request: Request, say: Callable[[str], None]) -> list[str]:
    """Run questions and write the index; return the names of those that failed.

    Raises
    ------
    InputError
        For an unknown question or parameter, or a folder in which another report is at work.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; says which questions are done, and where.
    """
    known = questions.questions(root)
    jobs = _jobs(known, request)
    for page in (request.out / INDEX, *_comparison(jobs)):
        _check_ours(page)
    with folders.locked(request.out), _sigterm_as_ctrl_c():
        progress = Progress(jobs, say)
        try:
            _run_all(jobs, root, request, progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(progress.stopped(request.out / INDEX)) from None
        finally:
            for page in _comparison(jobs):
                files.write(page, series_page(jobs))
            files.write(request.out / INDEX, index_page(known, request.out))
    return progress.failed


def _jobs(known: dict[str, Path], request: Request) -> list[Job]:
    """Return the runs that are asked for, all of them checked."""
    for name in request.names:
        if name not in known:
            raise unknown_name("question", name, list(known))
    chosen = list(dict.fromkeys(request.names)) or list(known)
    if (request.words or request.params) and len(chosen) != 1:
        option = "--param" if request.words else "--params"
        raise InputError(f"{option} belongs to one question: name it, as in: report q02 {option}")
    words = parameter_sets.read_words(request.words)
    tables = parameter_sets.read_file(request.params) if request.params else [{}]
    for name in words:
        if any(name in table for table in tables):
            raise InputError(f"parameter {name}: is given by --param and in {request.params}")
    tables = [table | words for table in tables]
    found = [
        job for name in chosen for job in questions.jobs(name, known[name], tables, request.out)
    ]
    return [replace(job, quick=request.quick) for job in found]


def _comparison(jobs: list[Job]) -> list[Path]:
    """Return the page that compares the runs, if they are a series: of one question."""
    is_series = len(jobs) > 1 and len({job.question for job in jobs}) == 1
    return [jobs[0].folder.parent / COMPARISON] if is_series else []


def _check_ours(page: Path) -> None:
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            begin = file.read(1000)
    except OSError:  # it is not there; or it cannot be written, and writing will say so
        return
    if GENERATOR not in begin:
        raise InputError(f"{page}: is no page of a report: give another --out")


def _run_all(jobs: list[Job], root: Path, request: Request, progress: Progress) -> None:
    """Run what has changed and can be run, some at once."""
    todo = []
    for job in jobs:
        before = folders.status(job.folder) or {}
        kept = before and not request.again and folders.is_whole(job.folder, before)
        if kept and before.get("key") == preflight.key(job, root):
            progress.unchanged(job)
            continue
        lacking = preflight.missing(job, root)
        if lacking:
            progress.ended(job, f"missing: {', '.join(lacking)}")
        else:
            todo.append(job)
    if not todo:
        return
    preflight.compile_engine(progress.say)
    stop, workers = threading.Event(), preflight.at_once(todo, request.workers)
    progress.begins(todo, root, workers)
    progress.run(todo, workers, stop, lambda job: run_job(job, root, stop))


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """End in order when this process is told to end."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
