"""A notebook's process ends when it is told to, when it is killed, and when its parent ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from numalab.report import notebooks, watched

ROOT = Path(__file__).parents[2]
NOTEBOOK = next(iter((ROOT / "notebooks").glob("q03_*.ipynb")))


def _checkout(root, last):
    """Make a checkout with two questions: the first does nothing, the second does ``last``."""
    book = json.loads(NOTEBOOK.read_text())
    (given,) = [c for c in book["cells"] if "parameters" in c["metadata"].get("tags", [])]
    (root / "notebooks").mkdir(parents=True)
    for name, source in {"q01": "1", "q02": last}.items():
        code = {"cell_type": "code", "id": "code", "metadata": {}, "outputs": []}
        cells = [given, code | {"execution_count": None, "source": [source]}]
        (root / f"notebooks/{name}_why.ipynb").write_text(json.dumps(book | {"cells": cells}))


def _wait_for(what):
    until = time.monotonic() + 120
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    assert what()


@pytest.fixture
def started(tmp_path):
    """A report whose second question never ends, and all processes that it started."""
    root = tmp_path / "checkout"
    _checkout(root, "open('begun', 'w').close(); import time; time.sleep(600)")
    line = [sys.executable, "-m", "numalab", "report", "--quick"]
    report = subprocess.Popen(
        line,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_for(lambda: (root / "begun").exists() or report.poll() is not None)
        children = psutil.Process(report.pid).children(recursive=True)
        yield root, report, [c for c in children if "resource_tracker" not in " ".join(c.cmdline())]
    finally:
        report.kill()
        report.communicate()


@pytest.mark.notebook
@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_is_one_line_and_leaves_no_process(started, whole_group):
    root, report, children = started
    assert len(children) == 2  # the notebook's process and its kernel
    (os.killpg if whole_group else os.kill)(report.pid, signal.SIGINT)
    _, err = report.communicate(timeout=60)
    assert report.returncode == 130
    assert err.splitlines() == [
        "q01: q01_why",
        "q01: failed: the notebook left no finding",
        "q02: q02_why",
        f"stopped at q02; failed: q01; see {root}/reports/quick/index.html",
    ]
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert "left no finding" in (root / "reports/quick/index.html").read_text()
    assert not list((root / "reports/quick").glob("*.part"))


@pytest.mark.notebook
def test_a_report_that_is_killed_takes_its_processes_along(started):
    _, report, children = started
    report.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_a_report_that_is_stopped_says_what_is_done(tmp_path, monkeypatch):
    def ran(notebook, *given):
        if notebook.stem == "q02_why":
            raise KeyboardInterrupt
        return "no"

    monkeypatch.setattr(watched, "run", ran)
    _checkout(tmp_path, "1")
    given = {"quick": True, "out": tmp_path / "r", "say": lambda _: None}
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at q02; failed: q01; see .*r/index"):
        notebooks.run(tmp_path, [], [], **given)
    assert [p.name for p in (tmp_path / "r").iterdir() if p.is_dir()] == ["q01_why"]
    done = []
    monkeypatch.setattr(notebooks, "run_question", lambda *given: done.append(1) or _stop(done))
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at q02; done: q01; see "):
        notebooks.run(tmp_path, [], [], **given)
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at q02; none is done$"):
        notebooks.run(tmp_path, ["q02"], [], **given)


def _stop(done):
    if len(done) > 1:
        raise KeyboardInterrupt
    return ""


@pytest.mark.notebook
def test_a_process_that_is_killed_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(NOTEBOOK, tmp_path / "notebooks/q01_why.ipynb")
    monkeypatch.setattr(watched, "_execute", os._exit)
    monkeypatch.setattr(watched, "LIMIT_S", 60.0)
    reason = watched.run(NOTEBOOK, tmp_path, {}, tmp_path)
    assert reason == "the notebook's process was killed"


@pytest.mark.notebook
def test_a_notebook_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    _checkout(tmp_path, "import time; time.sleep(600)")
    monkeypatch.setattr(watched, "LIMIT_S", 3.0)
    begin = time.monotonic()
    reason = watched.run(tmp_path / "notebooks/q02_why.ipynb", tmp_path, {}, tmp_path)
    assert reason == "no end after 3 s"
    assert time.monotonic() - begin < 60
