"""Notebooks: one typed parameters cell, no logic, no outputs; and they run."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from numalab.fields import InputError
from numalab.report import checkout, finding, mail, notebooks, parameters

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FORBIDDEN = (ast.ClassDef, ast.FunctionDef, ast.For, ast.While, ast.Try, ast.Lambda, ast.Global)


def _cells(path):
    return json.loads(path.read_text())["cells"]


def test_there_are_notebooks():
    assert [p.name[:3] for p in NOTEBOOKS][:2] == ["q01", "q02"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_stored_without_outputs_and_short(path):
    cells = _cells(path)
    code = [c for c in cells if c["cell_type"] == "code"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in code)
    assert len(cells) <= 18
    assert max(len(c["source"]) for c in cells) <= 15
    assert "papermill" not in json.loads(path.read_text())["metadata"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_holds_no_logic_but_assertions(path):
    trees = [ast.parse("".join(c["source"])) for c in _cells(path) if c["cell_type"] == "code"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    assert [type(n).__name__ for n in nodes if isinstance(n, FORBIDDEN)] == []
    assert any(isinstance(n, ast.Assert) for n in nodes)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_picture_is_described_for_those_who_cannot_see_it(path):
    code = "\n".join("".join(c["source"]) for c in _cells(path) if c["cell_type"] == "code")
    shown = [n for n in ast.walk(ast.parse(code)) if getattr(n, "func", None) is not None]
    images = [n for n in shown if getattr(n.func, "id", "") == "Image"]
    assert images
    assert all("alt" in {k.arg for k in image.keywords} for image in images)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_parameters_cell_is_typed_and_explained(path):
    declared = notebooks.declared(path)
    assert {"root_seed", "replicates", "quick", "out", "reproduce"} <= set(declared)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n = 3  # runs", "must be 'name: type = default  # help'"),
        ("n: int = 3", "has no help"),
        ("n: int = 3.5  # runs", "must be int"),
        ("n: int = True  # runs", "must be int"),
        ("n: list[int] = [1, 'x']  # runs", "must be list[int]"),
        ("n: dict = {}  # runs", "is not known"),
        ("n: int = 3  # runs; quick: many", "n = 'many': must be int"),
    ],
)
def test_bad_parameters_cells_are_refused(line, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[").replace("]", r"\]")):
        parameters.read(line, "x.ipynb")


def test_a_quick_run_takes_quick_values_and_those_that_are_given(tmp_path, monkeypatch):
    ran = {}
    monkeypatch.setattr(notebooks, "_watched", lambda *given: ran.update(given[2]) or "not run")
    words = ["replicates=7"]
    notebooks.run(ROOT, ["q03"], words, quick=True, out=tmp_path, say=lambda _: None)
    assert (ran["quick"], ran["duration_s"], ran["replicates"]) == (True, 20, 7)
    assert ran["pin_fractions"] == [0, 0.5, 1]
    written = json.loads(next(tmp_path.glob("q03_*/run.json")).read_text())["parameters"]
    assert written == {**written, **ran}
    assert ran["reproduce"].startswith("numalab report q03 --quick --param replicates=7  # numalab")


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/q03_.*: cannot be written: Not a directory"):
        notebooks.run(ROOT, ["q03"], [], quick=True, out=tmp_path / "file", say=lambda _: None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_finds_the_checkout_it_is_in(path, monkeypatch):
    first = next(c for c in _cells(path) if c["cell_type"] == "code")
    monkeypatch.chdir(ROOT / "notebooks")
    exec("".join(first["source"]), {})
    assert Path.cwd() == ROOT


def test_a_folder_outside_any_checkout_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="in no checkout"):
        checkout.enter()


def test_unknown_and_mistyped_parameters_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="did you mean 'replicates'"):
        notebooks.run(
            ROOT, ["q02"], ["replicate=3"], quick=True, out=tmp_path / "r", say=lambda _: None
        )
    with pytest.raises(InputError, match="replicates = 'many': must be int"):
        notebooks.run(
            ROOT, ["q02"], ["replicates=many"], quick=True, out=tmp_path / "r", say=lambda _: None
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_quickly_and_leaves_a_whole_report(path, tmp_path):
    reason = notebooks.run_question(
        path, tmp_path / path.stem, parameters.quick_values(notebooks.declared(path)), ROOT
    )
    assert reason == ""
    folder = tmp_path / path.stem
    mail.lint((folder / "mail.txt").read_text())
    status = json.loads((folder / "run.json").read_text())
    assert status["status"] == "ok"
    assert (folder / finding.read(folder).figure).stat().st_size < 300_000
    assert str(ROOT) not in (folder / "executed.ipynb").read_text()
    assert "<html" in (folder / "index.html").read_text()


@pytest.mark.notebook
def test_failing_notebook_is_told_and_does_not_stop_the_others(tmp_path):
    root = tmp_path / "checkout"
    (root / "notebooks").mkdir(parents=True)
    cells = _cells(NOTEBOOKS[1])
    cells = [c for c in cells if "parameters" in c["metadata"].get("tags", [])] + [
        {
            "cell_type": "code",
            "id": "bad",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": ["assert 1 > 2, 'the scan no longer falls'"],
        }
    ]
    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": ["# Why?"]}
    book = json.loads(NOTEBOOKS[1].read_text()) | {"cells": [title, *cells]}
    (root / "notebooks/q01_why.ipynb").write_text(json.dumps(book))
    shutil.copy(root / "notebooks/q01_why.ipynb", root / "notebooks/q02_why.ipynb")
    failed = notebooks.run(root, [], [], quick=True, out=root / "reports", say=lambda _: None)
    assert failed == ["q01", "q02"]
    index = (root / "reports/index.html").read_text()
    assert index.count("failed: AssertionError: the scan no longer falls") == 2
