"""Notebooks: one typed parameters cell, no logic, no outputs; and they run."""

import ast
import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell

from numalab.fields import InputError
from numalab.report import checkout, finding, mail, notebooks, parameters, watched
from tests.report import in_process

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
    assert [p.name[:3] for p in NOTEBOOKS][:2] == ["q01", "q02"]


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
    declared = notebooks.declared(path)
    assert {"root_seed", "replicates", "quick", "out", "reproduce"} <= set(declared)
    seen = papermill.inspect_notebook(path)
    assert list(seen) == list(declared)
    for name, parameter in declared.items():
        assert seen[name]["inferred_type_name"] == parameter.type
        assert ast.literal_eval(seen[name]["default"]) == parameter.default


def test_a_quick_run_takes_quick_values_and_those_that_are_given(tmp_path, monkeypatch):
    ran = {}
    monkeypatch.setattr(watched, "run", lambda *given: ran.update(given[2]) or "not run")
    words = ["replicates=7"]
    notebooks.run(ROOT, ["q03"], words, quick=True, out=tmp_path, say=lambda _: None)
    assert (ran["quick"], ran["duration_s"], ran["replicates"]) == (True, 20, 7)
    assert ran["pin_fractions"] == [0, 0.5, 1]
    written = json.loads(next(tmp_path.glob("q03_*/failed/run.json")).read_text())["parameters"]
    assert written == written | ran | {"out": written["out"]}
    assert written["out"].endswith("/failed")
    assert ran["reproduce"].startswith("numalab report q03 --quick --param replicates=7  # numalab")


def test_two_notebooks_of_one_name_are_refused(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("q01_why", "q01_how"):
        shutil.copy(NOTEBOOKS[0], tmp_path / f"notebooks/{name}.ipynb")
    with pytest.raises(InputError, match=r"q01 is two notebooks: q01_how.ipynb and q01_why.ipynb"):
        notebooks.questions(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=x"], "parameter out: the report sets it"),
        (["replicates=3", "replicates=4"], "replicates: is given twice"),
        (["pin_fractions=[]"], "must hold a value"),
    ],
)
def test_parameters_that_would_have_no_effect_are_refused(tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        notebooks.run(ROOT, ["q03"], words, quick=True, out=tmp_path, say=lambda _: None)


def test_a_bad_notebook_is_refused_before_another_one_runs(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(notebooks, "run_question", lambda *given: ran.append(given) or "")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(NOTEBOOKS[0], tmp_path / "notebooks/q01_why.ipynb")
    text = NOTEBOOKS[0].read_text().replace("root_seed: int", "root_sed: int")
    (tmp_path / "notebooks/q02_bad.ipynb").write_text(text)
    with pytest.raises(InputError, match=r"q02_bad.ipynb: parameter root_seed is missing"):
        notebooks.run(tmp_path, [], [], quick=True, out=tmp_path / "r", say=lambda _: None)
    assert not ran


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/q03_.*: cannot be written: Not a directory"):
        notebooks.run(ROOT, ["q03"], [], quick=True, out=tmp_path / "file", say=lambda _: None)


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
    with pytest.raises(InputError, match="did you mean 'replicates'"):
        notebooks.run(
            ROOT, ["q02"], ["replicate=3"], quick=True, out=tmp_path / "r", say=lambda _: None
        )
    with pytest.raises(InputError, match="replicates = 'many': must be int"):
        notebooks.run(
            ROOT, ["q02"], ["replicates=many"], quick=True, out=tmp_path / "r", say=lambda _: None
        )
    assert not (tmp_path / "r").exists()


def _check_results(folder):
    mail.lint((folder / "mail.txt").read_text())
    found = finding.read(folder)
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


@pytest.mark.notebook
@every_notebook
def test_notebook_runs_quickly_and_leaves_a_whole_report(path, tmp_path):
    values = parameters.quick_values(notebooks.declared(path))
    assert notebooks.run_question(path, tmp_path / path.stem, values, ROOT) == ""
    _check_report(tmp_path / path.stem)


def _values(path, folder, given):
    """Check and return what a notebook is given for a quick run with some other values."""
    known = notebooks.declared(path)
    values = parameters.quick_values(known) | given
    for name, value in values.items():
        parameters.check(known[name], value, path.name)
    store = {"store": str(folder / "store")} if "store" in known else {}
    return values | store | {"out": str(folder)}


@pytest.mark.notebook
@pytest.mark.parametrize("path", OTHERS, ids=lambda p: p.stem)
def test_notebook_answers_with_its_other_parameters(path, tmp_path, monkeypatch, capfd):
    """The pages that are made of an answer are those of the test above."""
    monkeypatch.chdir(ROOT)
    shown = in_process.run(path, _values(path, tmp_path, _other(path)))
    _check_results(tmp_path)
    assert str(ROOT) not in shown
    assert capfd.readouterr().err == ""


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("q03", {"base": "linux-7.2+mbind"}, "base = linux-7.2+mbind: must be a kernel without a"),
        ("q03", {"duration_s": 1, "memory_mb": 64}, "duration_s = 1: linux-7.2 zaps nothing in it"),
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
    path = notebooks.questions(ROOT)[name]
    with pytest.raises(InputError) as caught:
        in_process.run(path, _values(path, tmp_path, given))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def _report(root, monkeypatch, reason=""):
    """Run a notebook whose cells are not run: it leaves a text, and fails for a reason."""

    def ran(notebook, folder, values, root):
        (folder / "executed.ipynb").write_text(notebook.read_text())
        text = reason or "as it should be"
        found = finding.Finding(
            question="Why?", answer=text, figure="", quick=False, source="simulated"
        )
        finding.write(folder, found, "simulated: why?")
        return reason

    monkeypatch.setattr(watched, "run", ran)
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    shutil.copy(NOTEBOOKS[0], root / "notebooks/q01_why.ipynb")
    notebooks.run(root, [], [], quick=False, out=root / "reports", say=lambda _: None)
    return root / "reports/q01_why"


def test_a_failed_run_leaves_the_report_of_the_run_before(tmp_path, monkeypatch):
    folder = _report(tmp_path, monkeypatch)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert _report(tmp_path, monkeypatch, "ValueError: no") == folder
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert kept == files
    index = (tmp_path / "reports/index.html").read_text()
    assert "the last run failed: ValueError: no" in index
    assert "as it should be" in index
    assert "failed: ValueError: no" in (folder / "failed/index.html").read_text()
    _report(tmp_path, monkeypatch)
    assert not (folder / "failed").exists()
    assert "failed" not in (tmp_path / "reports/index.html").read_text()
    assert [path.name for path in (tmp_path / "reports").iterdir() if path.is_dir()] == ["q01_why"]


def test_a_notebook_gets_the_store_of_the_report_if_it_has_one(tmp_path, monkeypatch):
    status = json.loads((_report(tmp_path, monkeypatch) / "run.json").read_text())
    assert status["parameters"]["out"] == "reports/q01_why"
    expected = notebooks.STORE if "store" in notebooks.declared(NOTEBOOKS[0]) else None
    assert status["parameters"].get("store") == expected


@pytest.mark.notebook
def test_failing_notebook_is_reported_and_does_not_stop_the_others(tmp_path):
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
    assert "the scan no longer falls" in (root / "reports/q02_why/failed/index.html").read_text()


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
