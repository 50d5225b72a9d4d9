"""Notebooks: one typed parameters cell, no logic, no outputs; and they run."""

import ast
import contextlib
import io
import json
import re
import shutil
import threading
from pathlib import Path

import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell

from numalab.fields import InputError
from numalab.report import checkout, folders, mail, notebooks, parameters, questions, watched
from tests.report import in_process
from tests.report.small_checkout import job, run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = {"cells": 22, "lines": 80, "function": 15}
"""Lines of code are those beside the parameters cell that are not blank."""
OTHER = "other_parameters"
"""Of a notebook's metadata: cheap values that are not like its defaults."""
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def _cells(path):
    return json.loads(path.read_text())["cells"]


def _other(path):
    return json.loads(path.read_text())["metadata"].get(OTHER, {})


OTHERS = [path for path in NOTEBOOKS if _other(path)]


def _code(path):
    return ["".join(c["source"]) for c in _cells(path) if c["cell_type"] == "code"]


def _nodes(path):
    return [node for source in _code(path) for node in ast.walk(ast.parse(source))]


def test_there_are_notebooks():
    assert [p.name[:3] for p in NOTEBOOKS][:2] == ["q00", "q01"]


@every_notebook
def test_notebook_is_stored_without_outputs(path):
    code = [c for c in _cells(path) if c["cell_type"] == "code"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in code)
    assert "papermill" not in json.loads(path.read_text())["metadata"]


@every_notebook
def test_notebook_can_be_read_in_one_go(path):
    code = [c for c in _cells(path) if c["cell_type"] == "code" and not c["metadata"].get("tags")]
    lines = [line for cell in code for line in "".join(cell["source"]).split("\n") if line.strip()]
    assert len(_cells(path)) <= LONGEST["cells"]
    assert len(lines) <= LONGEST["lines"]
    functions = [n for n in _nodes(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= LONGEST["function"]] == []


@every_notebook
def test_notebook_has_no_classes_and_hides_no_error(path):
    assert [n for n in _nodes(path) if isinstance(n, ast.ClassDef | ast.Try | ast.TryStar)] == []


@every_notebook
def test_every_picture_is_described_for_those_who_cannot_see_it(path):
    calls = [n for n in _nodes(path) if isinstance(n, ast.Call)]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    images = [c for c, n in zip(calls, names, strict=True) if n in ("Image", "figure")]
    assert images
    assert all("alt" in {k.arg for k in image.keywords} for image in images)


@every_notebook
def test_parameters_cell_is_typed_explained_and_read_by_papermill(path):
    declared = questions.declared(path)
    assert {"root_seed", "replicates", "quick", "out", "reproduce"} <= set(declared)
    seen = papermill.inspect_notebook(path)
    assert list(seen) == list(declared)
    for name, parameter in declared.items():
        assert seen[name]["inferred_type_name"] == parameter.type
        assert ast.literal_eval(seen[name]["default"]) == parameter.default


def test_a_quick_run_takes_quick_values_and_those_that_are_given(tmp_path, monkeypatch):
    ran = {}
    failed = watched.End(reason="not run")
    monkeypatch.setattr(watched, "run", lambda *given: ran.update(given[2]) or failed)
    run(ROOT, tmp_path, names=["q03"], words=["replicates=21"], quick=True)
    assert (ran["quick"], ran["minutes"], ran["replicates"]) == (True, 3, 21)
    assert ran["pin_fractions"] == [0.5, 1]
    written = json.loads(next(tmp_path.glob("q03_*/failed/run.json")).read_text())["parameters"]
    assert written == written | ran | {"out": written["out"]}
    assert written["out"].endswith("/failed")
    assert ran["reproduce"].startswith(
        "numalab report q03 --quick --param replicates=21  # numalab"
    )


def test_two_notebooks_of_one_name_are_refused(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("q01_why", "q01_how"):
        shutil.copy(NOTEBOOKS[0], tmp_path / f"notebooks/{name}.ipynb")
    with pytest.raises(InputError, match=r"q01 is two notebooks: q01_how.ipynb and q01_why.ipynb"):
        questions.questions(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=x"], "parameter out: the report sets it: use --out"),
        (["quick=true"], "parameter quick: the report sets it: use --quick"),
        (["replicates=3", "replicates=4"], "replicates: is given twice"),
        (["pin_fractions=[]"], "must hold a value"),
    ],
)
def test_parameters_that_would_have_no_effect_are_refused(tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        run(ROOT, tmp_path, names=["q03"], words=words)


def test_a_bad_notebook_is_refused_before_another_one_runs(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(notebooks, "run_job", lambda *given: ran.append(given) or "")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(NOTEBOOKS[0], tmp_path / "notebooks/q01_why.ipynb")
    text = NOTEBOOKS[0].read_text().replace("root_seed: int", "root_sed: int")
    (tmp_path / "notebooks/q02_bad.ipynb").write_text(text)
    with pytest.raises(InputError, match=r"q02_bad.ipynb: parameter root_seed is missing"):
        run(tmp_path, tmp_path / "r")
    assert not ran


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"/file: cannot be written: File exists"):
        run(ROOT, tmp_path / "file", names=["q03"])


@every_notebook
def test_a_notebook_finds_the_checkout_it_is_in(path, monkeypatch):
    imports, given, *rest = _code(path)
    names = {}
    monkeypatch.chdir(ROOT / "notebooks")
    for source in (imports, given, rest[0].split("\n")[0]):
        exec(source, names)
    assert Path.cwd() == ROOT


@every_notebook
def test_a_notebook_refuses_a_mistyped_parameter_before_anything_runs(path, monkeypatch):
    """By hand in Jupyter too, where nobody has checked what was typed into the cell."""
    imports, given, *rest = _code(path)
    monkeypatch.chdir(ROOT)
    for name, wrong in {"root_seed": "many", "out": 1, "replicates": [3]}.items():
        names = {}
        exec(imports, names)
        exec(given, names)
        names[name] = wrong
        with pytest.raises(InputError, match=rf"cell: {name} = .*: must be (int|str)$"):
            exec(rest[0].split("\n")[0], names)


def test_an_empty_list_is_no_parameter():
    cell = "sizes: list[int] = [1]  # what is simulated\nmore: list[int] = []  # may be empty"
    names = {"In": ["", "import os", cell, "1 / 0"]}
    exec(cell, names)
    parameters.check_cell(names)
    with pytest.raises(InputError, match=r"cell: sizes = \[\]: must hold a value"):
        parameters.check_cell(names | {"sizes": []})


def test_a_folder_outside_any_checkout_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="in no checkout"):
        checkout.enter({})


def test_unknown_and_mistyped_parameters_are_refused_before_anything_runs(tmp_path):
    for word, message in {
        "replicate=3": "did you mean 'replicates'",
        "replicates=many": "replicates = 'many': must be int",
        "vcpus=-1": "vcpus = -1: must be at least 0",
    }.items():
        with pytest.raises(InputError, match=message):
            run(ROOT, tmp_path / "r", names=["q02"], words=[word])
    assert not (tmp_path / "r").exists()


def _check_results(folder):
    mail.lint((folder / "mail.txt").read_text())
    found = folders.read_finding(folder)
    assert (folder / found.figure).stat().st_size < 300_000
    assert re.findall(r"\bnan\b|\binf\b|e\+\d", found.answer) == []


def _check_report(folder):
    _check_results(folder)
    status = json.loads((folder / "run.json").read_text())
    assert (status["status"], status["reason"]) == ("ok", "")
    executed = (folder / "executed.ipynb").read_text()
    assert str(ROOT) not in executed
    assert ".part" not in executed
    assert '"name": "stderr"' not in executed  # a warning names a file of this machine
    assert "<html" in (folder / "index.html").read_text()


@pytest.mark.timeout(900)
@pytest.mark.notebook
@every_notebook
def test_notebook_runs_quickly_and_leaves_a_whole_report(path, tmp_path):
    assert notebooks.run_job(job(path, tmp_path), ROOT, threading.Event()) == ""
    _check_report(tmp_path / path.stem)


def _values(path, folder, given):
    """Check and return what a notebook is given for a quick run with some other values."""
    known = questions.declared(path)
    values = parameters.quick_values(known) | given
    for name, value in values.items():
        parameters.check(known[name], value, path.name)
    store = {"store": str(folder / "store")} if "store" in known else {}
    return values | store | {"out": str(folder)}


@pytest.mark.timeout(900)
@pytest.mark.notebook
@pytest.mark.parametrize("path", OTHERS, ids=lambda p: p.stem)
def test_notebook_answers_with_its_other_parameters(path, tmp_path, monkeypatch, capfd):
    """The pages that are made of an answer are those of the test above."""
    monkeypatch.chdir(ROOT)
    shown = in_process.run(path, _values(path, tmp_path, _other(path)))
    _check_results(tmp_path)
    assert str(ROOT) not in shown
    assert capfd.readouterr().err == ""


@pytest.mark.timeout(900)
@pytest.mark.notebook
@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("q03", {"base": "linux-7.2+mbind"}, "base = linux-7.2+mbind: must be a kernel without a"),
        ("q03", {"begin": 3, "minutes": 3}, "begin = 3: must be above 0 and below minutes = 3"),
        ("q03", {"costs": "none.toml"}, "costs = none.toml: cannot be read: No such file or"),
        ("q02", {"only": "none-of-these"}, "only = none-of-these: no such guest in data/guests"),
        ("q06", {"base": "linux-6.4"}, "base = linux-6.4: has resets_cpupid already: must be a"),
        ("q06", {"base": "linux-6.1+mbind"}, "unknown policy 'linux-6.1+mbind'"),
        ("q07", {"policy": "linux-7.2+mbind"}, "policy = linux-7.2+mbind: must be a kernel with"),
    ],
)
def test_what_a_question_cannot_be_asked_of_is_one_line(
    tmp_path, monkeypatch, name, given, message
):
    """What a report makes of an error: see the last test."""
    monkeypatch.chdir(ROOT)
    path = questions.questions(ROOT)[name]
    with pytest.raises(InputError) as caught:
        in_process.run(path, _values(path, tmp_path, given))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_jupyter_shows_what_was_given_wrongly_as_one_line(shell):
    """Of a fault of ours it shows the traceback."""
    for source in ("from numalab.report import checkout", "n: int = 'many'"):
        assert shell.run_cell(source).success
    for source, line in {
        "checkout.enter(globals())": "numalab: error: parameters cell: n = 'many': must be int",
        "1 / 0": "Traceback (most recent call last)",
    }.items():
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            assert not shell.run_cell(source).success
        assert line in shown.getvalue()
        assert (shown.getvalue().count("\n") == 1) == ("numalab" in line)
