"""What code a number comes from: the model, and functions that measure."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from numalab import measures, policy, provenance, versions
from numalab.fields import InputError
from numalab.provenance import function_version
from numalab.versions import code_version, model_version, sources

ROOT = versions._FOLDER


def test_the_model_is_every_module_that_a_run_can_reach():
    found = {path.relative_to(ROOT).as_posix() for path in sources("totals")}
    assert {"engine.py", "jit.py", "totals.py"} <= found
    for name in ("initial", "program", "plan", "inputs", "loop", "lifespans"):
        assert f"model/{name}.py" in found
    mirrored = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("linux/[a-z]*.py")}
    assert len(mirrored) > 8
    assert mirrored <= found
    assert "cli.py" not in found
    assert not [path for path in found if path.startswith(("report/", "record/", "stats/"))]
    assert not [path for path in found if path.startswith("sweep/")]


def test_what_the_imports_say_is_what_is_loaded():
    """No module of the package is imported behind the back of the search."""
    line = "import numalab.totals, sys; print(*[m for m in sys.modules if 'numalab' in m])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    found = {
        ".".join(("numalab", *p.relative_to(ROOT).with_suffix("").parts)) for p in sources("totals")
    }
    assert set(done.stdout.split()) - found == {*("numalab", "numalab.linux", "numalab.model")}


def _packages(tmp_path, monkeypatch, **texts):
    """Version of a package whose modules hold these texts; its own module is ``totals``."""
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(versions, "_FOLDER", tmp_path)
    for cached in (versions.code_version, versions._parsed):
        cached.cache_clear()
    try:
        return code_version("totals")
    finally:
        for path in tmp_path.glob("*.py"):
            path.unlink()
        versions.code_version.cache_clear()


MAIN = "from numalab.inner import f\n\ndef g(x):\n    return f(x) + 1\n"
INNER = "def f(x):\n    return 2 * x\n"


def test_only_what_could_change_a_number_changes_the_version(tmp_path, monkeypatch):
    version = functools.partial(_packages, tmp_path, monkeypatch)
    first = version(totals=MAIN, inner=INNER)
    comments = '"""About."""\n' + INNER.replace("return", '"""Double."""\n    return').replace(
        "2 * x", "2  *  x  # twice"
    )
    assert version(totals=MAIN, inner=comments) == first
    assert version(totals=MAIN.replace("inner", "renamed"), renamed=INNER) == first
    assert version(totals=MAIN, inner=INNER, other="x = 1\n") == first
    assert version(totals=MAIN, inner=INNER.replace("2", "3")) != first
    assert version(totals=MAIN.replace("import f", "import h as f"), inner=INNER) != first
    assert version(totals=MAIN.replace("+ 1", "+ 2"), inner=INNER) != first


def test_the_version_of_the_model_is_short_and_lasts():
    assert len(model_version()) == 16
    line = "from numalab.versions import model_version; print(model_version())"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == model_version()


FACTOR = 2
TABLE = np.arange(3)


def _double(x):
    return FACTOR * x


def measured(run):
    """Measure."""
    return {"x": _double(run["x"]).sum()}  # in all


def also_measured(run):
    return {"x": _double(run["x"]).sum()}


def unlike(run):
    return {"x": _double(run["x"]).mean()}


def test_a_function_is_known_by_what_it_computes(monkeypatch):
    first = function_version(measured)
    assert function_version(also_measured) == first
    assert function_version(unlike) != first
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    assert function_version(measured) != first
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 2)
    assert function_version(measured) == first


def test_what_a_function_is_bound_to_counts():
    def of(limit, table=None, default=1):
        def inner(run, scale=default):
            return {"n": [v for v in run if v > limit], "t": table, "s": scale}

        return inner

    found = {
        function_version(f)
        for f in (
            of(1), of(2), of(1, np.arange(3)), of(1, np.arange(4)), of(1, default=2),
            of({"a": (1, 2)}), of(xr.DataArray([1, 2])), of(policy.get("linux-7.2")),
            of(policy.get("linux-6.1")),
            functools.partial(of(1), scale=5), functools.partial(of(1), scale=6),
        )
    }  # fmt: skip
    assert len(found) == 11
    assert function_version(of(1)) in found
    assert function_version(of(1, np.arange(3))) in found


def test_functions_of_packages_are_known_by_their_version(monkeypatch):
    def uses(run):
        return {"n": np.sum(run), "w": measures.scans, "x": xr.where(run > 1, 1, 0), "l": len(run)}

    first = function_version(uses)
    monkeypatch.setattr(provenance, "code_version", lambda *names: "edited")
    edited = function_version(uses)
    assert edited != first
    monkeypatch.setattr(xr, "__version__", "0")
    assert function_version(uses) != edited


value = object()


def test_a_local_name_is_not_one_of_the_notebook():
    assert function_version(lambda run: [value + 1 for value in run])
    with pytest.raises(InputError, match="the function: value = <object"):
        function_version(lambda run: value)


class Model:
    def __call__(self, run):
        return {}


@pytest.mark.parametrize(
    "value", [Model(), object(), Model, [].append, {1: object()}], ids=lambda v: type(v).__name__
)
def test_what_cannot_be_known_by_content_is_refused_by_name(value):
    with pytest.raises(
        InputError, match=r"the function: value.* = .*cannot be known by its content"
    ):
        function_version(lambda run: value)
