"""A report as a whole: what is run, what is kept, what is said, and what is never touched."""

import json
import re
import subprocess
import sys
import threading

import pytest

from numalab.fields import InputError
from numalab.report import folders, notebooks, preflight, questions, watched
from tests.report.small_checkout import ANSWER, answers, checkout, run


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout whose notebooks answer at once, without a kernel."""
    monkeypatch.setattr(watched, "run", answers)
    monkeypatch.setattr(preflight, "compile_engine", lambda *given: None)
    checkout(tmp_path / "checkout", q01="1", q02="1")
    return tmp_path / "checkout"


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _said(root, **asked):
    lines = []
    run(root, root / "r", say=lines.append, **asked)
    return lines


def test_a_failed_run_leaves_the_report_of_the_run_before(root):
    run(root, root / "r", names=["q01"])
    files = _files(root / "r/q01_why")
    assert run(root, root / "r", names=["q01"], words=["n=9"]) == ["q01"]
    assert _files(root / "r/q01_why") == files
    index = (root / "r/index.html").read_text()
    assert "the last run failed: ValueError: nine" in index
    assert "Because of 2." in index
    assert "failed: ValueError: nine" in (root / "r/q01_why/failed/index.html").read_text()
    run(root, root / "r", names=["q01"], again=True)
    assert not (root / "r/q01_why/failed").exists()
    assert "failed" not in (root / "r/index.html").read_text()
    assert [path.name for path in (root / "r").iterdir() if path.is_dir()] == ["q01_why"]


def test_a_failure_does_not_stop_the_others(root, monkeypatch):
    def ran(notebook, *given):
        if notebook.stem == "q01_why":
            raise OSError(28, "No space left on device")
        return answers(notebook, *given)

    monkeypatch.setattr(watched, "run", ran)
    assert run(root, root / "r") == ["q01"]
    assert folders.status(root / "r/q02_why")["status"] == "ok"
    assert "not run" in (root / "r/index.html").read_text()


def test_a_notebook_gets_the_store_of_the_report_if_it_has_one(root):
    run(root, root / "r", names=["q01"])
    given = folders.status(root / "r/q01_why")["parameters"]
    assert (given["out"], given.get("store")) == ("r/q01_why", None)
    path = root / "notebooks/q01_why.ipynb"
    given = r"store: str = \"\"  # folder\nroot_seed: int"
    text = path.read_text().replace("root_seed: int", given)
    path.write_text(text)
    run(root, root / "r", names=["q01"])
    given = folders.status(root / "r/q01_why")["parameters"]
    assert given["store"] == questions.STORE


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        (lambda root: None, False),
        (lambda root: (root / "data/captures/a").write_text("1"), True),
        (lambda root: checkout(root, q01="2"), True),
        (lambda root: (root / "r/q01_why/mail.txt").unlink(), True),
        (lambda root: (root / "r/q01_why/notes.txt").write_text("mine"), False),
    ],
)
def test_what_has_not_changed_is_not_run_again(root, change, runs):
    _said(root, names=["q01"])
    change(root)
    lines = _said(root, names=["q01"])
    unchanged = "q01: unchanged (parameters, notebook, code, data), not run; --again runs it"
    assert (lines == [unchanged]) == (not runs)
    assert ("q01: q01_why" in lines) == runs
    assert "q01: q01_why" in _said(root, names=["q01"], words=["share=0.25"])
    assert "q01: q01_why" in _said(root, names=["q01"], words=["share=0.25"], again=True)


def test_code_that_has_changed_is_run_again(root, monkeypatch):
    _said(root, names=["q01"])
    monkeypatch.setattr("numalab.versions.code_version", lambda *names: "other")
    assert "q01: q01_why" in _said(root, names=["q01"])


def test_files_that_are_not_ours_stay(root):
    run(root, root / "r", names=["q01"])
    mine = {root / "r/mine": "a", root / "r/q01_why/mine": "b", root / "r/q01_why/sub/mine": "c"}
    for path, text in mine.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for words in (["n=9"], ["n=3"], ["n=9"], ["n=5"]):
        run(root, root / "r", names=["q01"], words=words)
        assert {path: path.read_text() for path in mine} == mine
    (root / "r/q01_why/failed").mkdir()
    (root / "r/q01_why/failed/mine").write_text("d")
    run(root, root / "r", names=["q01"], words=["n=6"])
    assert (root / "r/q01_why/failed/mine").read_text() == "d"
    assert "Because of 6." in (root / "r/q01_why/finding.json").read_text()


@pytest.mark.parametrize("name", ["q01_why", "q01_why.part", "q01_why.before"])
def test_a_folder_that_is_not_ours_is_in_the_way_and_stays(root, name):
    (root / "r" / name).mkdir(parents=True)
    (root / "r" / name / "index.html").write_text("mine")
    lines = []
    assert run(root, root / "r", names=["q01"], say=lines.append) == ["q01"]
    assert any(f"failed: r/{name}: is in the way" in line for line in lines)
    assert (root / "r" / name / "index.html").read_text() == "mine"


def test_an_index_that_is_not_ours_is_refused(root):
    (root / "r").mkdir()
    (root / "r/index.html").write_text("<title>mine</title>")
    with pytest.raises(InputError, match=r"index.html: is no page of a report: give another --out"):
        run(root, root / "r")
    assert (root / "r/index.html").read_text() == "<title>mine</title>"


@pytest.mark.parametrize("renamed", [1, 2])
def test_a_report_that_is_killed_while_it_puts_a_run_in_place_loses_nothing(
    root, monkeypatch, renamed
):
    run(root, root / "r", names=["q01"])
    before, part = root / "r/q01_why.before", root / "r/q01_why.part"
    (root / "r/q01_why/mine").write_text("mine")
    part.mkdir()
    (part / ".numalab-report").touch()
    (root / "r/q01_why").rename(before)
    if renamed == 2:
        new = folders.status(before) | {"sha256": {}}
        (part / "run.json").write_text(json.dumps(new))
        part.rename(root / "r/q01_why")
    folders.discard(folders.begin(root / "r/q01_why"))
    assert (root / "r/q01_why/mine").read_text() == "mine"
    assert folders.status(root / "r/q01_why")["status"] == "ok"
    assert not before.exists()
    assert not part.exists()


def test_two_reports_at_once_in_one_folder_are_one_too_many(root):
    code = (
        "import sys, time; from pathlib import Path; from numalab.report import folders\n"
        f"with folders.locked(Path({str(root / 'r')!r})):\n"
        "    print('locked', flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match=rf"another report \(process {other.pid}\) is at work"):
            run(root, root / "r")
        other.kill()
    assert run(root, root / "r") == []


def test_workers_run_at_once_and_lines_stay_whole(root, monkeypatch):
    together = threading.Barrier(2, timeout=60)

    def ran(*given):
        together.wait()
        return answers(*given)

    monkeypatch.setattr(watched, "run", ran)
    lines = _said(root, workers=2)
    assert lines[0].startswith("2 notebooks, 2 at once; how long that takes is not known")
    assert {line.partition(":")[0] for line in lines[1:]} == {"q01", "q02"}


def test_a_report_says_how_long_it_will_take_from_the_runs_before(root, monkeypatch):
    monkeypatch.setattr(preflight, "speed", lambda: 10.0)
    run(root, root / "r")
    for stem, seconds in {"q01_why": 100.0, "q02_why": 500.0}.items():
        path = root / "r" / stem / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))
    monkeypatch.setattr(preflight, "speed", lambda: 20.0)
    lines = _said(root, again=True, workers=1)
    assert lines[0] == "2 notebooks, 1 at once: about 5 min here"
    assert re.fullmatch(r"q01: done in \d+ s; 1 left, about 4 min", lines[2])


def test_what_is_missing_is_said_before_anything_runs(root):
    source = "import no_such_package, os\nfrom numalab import costs"
    checkout(root, q01=source)
    path = root / "notebooks/q02_why.ipynb"
    path.write_text(path.read_text().replace(r"[\"a\"]", r"[\"data/none\"]"))
    lines = _said(root)
    assert lines == [
        "q01: failed: missing: package no_such_package",
        "q02: failed: missing: data/none (parameter names)",
    ]


def test_as_many_notebooks_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(preflight.os, "sched_getaffinity", lambda pid: set(range(8)))
    jobs = [questions.Job(
        name="q", question="q", notebook=preflight.Path("q"), folder=preflight.Path("none"),
        declared={}, given={},
    )] * 6  # fmt: skip
    for free_mb, expected in {100_000: 6, 5000: 4, 100: 1}.items():
        monkeypatch.setattr(preflight, "_free_mb", lambda free_mb=free_mb: free_mb)
        assert preflight.at_once(jobs, 0) == expected
    assert preflight.at_once(jobs, 3) == 3


def test_a_matrix_is_a_series_with_a_page_that_compares(root):
    lines = _said(root, names=["q01"], words=["n=[2,3,9]", "share=0.25"])
    series = root / "r/q01_why.series"
    assert {path.name for path in series.iterdir() if path.is_dir()} == {
        f"q01_n={n}" for n in (2, 3, 9)
    }
    page = (series / "index.html").read_text()
    for text in ("Because of 2. No more.", "Because of 3. No more.", "failed: ValueError: nine"):
        assert text in page
    assert "share=0.25" in page
    assert 'href="q01_n=2/index.html"' in page
    assert "q01_why.series/index.html" in (root / "r/index.html").read_text()
    assert not (root / "r/q01_why").exists()
    command = folders.status(series / "q01_n=3")["parameters"]["reproduce"].partition("  #")[0]
    assert command == "numalab report q01 --quick --param n=3 --param share=0.25"
    assert "q01 n=9: failed: ValueError: nine" in [line.partition("; ")[0] for line in lines]
    again = _said(root, names=["q01"], words=["n=[2,3]", "share=0.25"])
    assert [line.partition(":")[0] for line in again] == ["q01 n=2", "q01 n=3"]
    assert all("unchanged" in line for line in again)


def test_a_file_of_sets_is_a_series(root):
    file = root / "sets.yaml"
    file.write_text("n: [2, 3]\nnames: [[a], [a, b]]\n")
    _said(root, names=["q01"], params=file)
    pages = list((root / "r/q01_why.series").glob("q01_*/index.html"))
    assert len(pages) == 4
    with pytest.raises(InputError, match=r"n: is given by --param and in .*sets.yaml"):
        _said(root, names=["q01"], params=file, words=["n=3"])
    with pytest.raises(InputError, match=r"--params belongs to one question"):
        _said(root, params=file)


HOSTILE = """import os, sys, warnings
warnings.warn(os.getcwd())
print(os.getcwd(), sys.prefix, os.path.expanduser("~/x"), "\\x1b[31m\\x07")
for _ in range(200): print("y" * 50_000)
"""
RAISES = "raise ValueError(chr(27) + '[31mred' + chr(7) + ' in ' + os.getcwd() + 'z' * 10**6)"


@pytest.mark.notebook
def test_what_a_notebook_prints_is_bounded_and_clean(tmp_path):
    root = tmp_path / "checkout"
    checkout(root, q01=[HOSTILE, ANSWER], q02=[HOSTILE, RAISES])
    lines = []
    assert run(root, root / "r", say=lines.append) == ["q02"]
    for folder in (root / "r/q01_why", root / "r/q02_why/failed"):
        for path in folder.iterdir():
            data = path.read_bytes()
            assert len(data) < 3_000_000
            text = data.decode()
            assert not {c for c in text if ord(c) < 32} - {"\n", "\t"}
            for place in (str(tmp_path), sys.prefix, str(notebooks.Path.home()) + "/"):
                assert place not in text
        assert "characters were cut: too long for a page" in (folder / "index.html").read_text()
    (failed,) = [line for line in lines if "q02: failed" in line]
    assert failed.isprintable()
    assert failed.startswith(r"q02: failed: ValueError: red\x07 in .z")
    assert len(failed) < 400
