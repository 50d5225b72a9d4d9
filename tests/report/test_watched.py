"""A notebook's process ends when it is told to, when it is killed, and when its parent ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from numalab.report import watched
from tests.report.small_checkout import checkout, run

ROOT = Path(__file__).parents[2]
FOREVER = "open('begun', 'w').close(); import time; time.sleep(600)"
KILLS_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def _wait_for(what):
    until = time.monotonic() + 120
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    assert what()


@pytest.fixture
def started(tmp_path):
    """A report whose second question never ends, and all processes that it started."""
    root = tmp_path / "checkout"
    checkout(root, q01="1", q02=FOREVER)
    line = [sys.executable, "-m", "numalab", "report", "--quick", "--workers", "1"]
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
@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)],
)
def test_a_report_that_is_told_to_end_says_one_line_and_leaves_no_process(
    started, number, whole_group
):
    root, report, children = started
    assert len(children) == 2  # the notebook's process and its kernel
    (os.killpg if whole_group else os.kill)(report.pid, number)
    _, err = report.communicate(timeout=60)
    assert report.returncode == 130
    first, *lines = err.splitlines()
    assert first.startswith("2 notebooks, 1 at once")
    assert lines == [
        "q01: q01_why",
        "q01: failed: the notebook left no finding; 1 left",
        "q02: q02_why",
        f"stopped at q02; failed: q01; see {root}/reports/quick/index.html",
    ]
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert "left no finding" in (root / "reports/quick/index.html").read_text()
    assert not list((root / "reports/quick").glob("*.part"))


@pytest.mark.notebook
def test_a_report_that_is_killed_takes_its_processes_along(started):
    root, report, children = started
    report.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert list((root / "reports/quick").glob("q02_*.part"))
    checkout(root, q02="1")
    run(root, root / "reports/quick", names=["q02"])
    assert not list((root / "reports/quick").glob("*.part"))


@pytest.mark.notebook
def test_a_notebook_whose_process_is_killed_is_a_failure_at_once(started):
    _, report, children = started
    (notebook,) = [c for c in children if c.ppid() == report.pid]
    notebook.kill()
    _, err = report.communicate(timeout=60)
    assert "q02: failed: the notebook's process was killed" in err.splitlines()
    assert report.returncode == 1
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.notebook
def test_a_kernel_that_is_killed_is_seen_and_what_it_did_is_kept(tmp_path):
    checkout(tmp_path, q01=["print('so far')", KILLS_ITSELF])
    end = watched.run(
        tmp_path / "notebooks/q01_why.ipynb", tmp_path, {}, tmp_path, threading.Event()
    )
    assert end.reason == "the notebook's kernel was killed: is there too little memory?"
    assert "so far" in (tmp_path / "executed.ipynb").read_text()


def test_a_report_that_is_stopped_says_what_is_done(tmp_path, monkeypatch):
    def ran(notebook, folder, values, root, stop):
        if notebook.stem == "q02_why":
            os.kill(os.getpid(), signal.SIGINT)
            stop.wait(30)
            raise watched.StoppedError
        return watched.End(reason="no")

    monkeypatch.setattr(watched, "run", ran)
    checkout(tmp_path, q01="1", q02="1")
    given = {"out": tmp_path / "r", "workers": 1}
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at q02; failed: q01; see .*r/index"):
        run(tmp_path, **given)
    assert [p.name for p in (tmp_path / "r").iterdir() if p.is_dir()] == ["q01_why"]
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at q02; none is done$"):
        run(tmp_path, names=["q02"], **given)


@pytest.mark.notebook
def test_a_notebook_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    checkout(tmp_path, q02="import time; time.sleep(600)")
    monkeypatch.setattr(watched, "LIMIT_S", 3.0)
    begin = time.monotonic()
    end = watched.run(
        tmp_path / "notebooks/q02_why.ipynb", tmp_path, {}, tmp_path, threading.Event()
    )
    assert end.reason == "no end after 3 s"
    assert time.monotonic() - begin < 60
