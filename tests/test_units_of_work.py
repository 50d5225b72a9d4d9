"""Tests that share runs are run in one process: the suite would take half as long again."""

from pathlib import Path

import pytest

from tests.conftest import unit

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/record/test_programs.py::test_stacks_are_8_mib[6.1-paced]", "kernel"),
        ("tests/record/test_calibrate.py::test_a_real_boot_gives_every_field", "kernel"),
        ("tests/sweep/test_cluster.py::test_x", "cluster"),
        ("tests/stats/test_crossings.py::test_by_hand[a@b::c]", "tests/stats/test_crossings.py"),
        (
            "tests/report/test_notebooks.py::test_x[q01]",
            "tests/report/test_notebooks.py::test_x[q01]",
        ),
    ],
)
def test_a_test_runs_with_those_it_shares_runs_with(nodeid, expected):
    assert unit(ROOT, nodeid) == expected


@pytest.mark.slow
def test_a_file_is_run_by_one_process(pytester):
    """All twelve files, whichever process takes which; singly handed out they would mix."""
    pytester.makeconftest(
        "from tests import conftest\nfrom tests.conftest import *\n"
        "conftest._compile_once = lambda: None\n"
    )
    marks = "'cluster: c', 'kernel: k', 'notebook: n', 'statistical: s', 'slow: s'"
    pytester.makepyprojecttoml(f"[tool.pytest.ini_options]\ntimeout = 60\nmarkers = [{marks}]")
    source = """
        import os, pytest
        @pytest.mark.parametrize("i", range(6))
        def test_it(i):
            with open("NAME", "a") as file:
                file.write(f"{os.getpid()}\\n")
    """
    names = [f"file{i}" for i in range(12)]
    pytester.makepyfile(**{f"test_{name}": source.replace("NAME", name) for name in names})
    pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider", timeout=60)
    pids = [(pytester.path / name).read_text().split() for name in names]
    assert [(len(p), len(set(p))) for p in pids] == [(6, 1)] * 12
    assert len({p[0] for p in pids}) == 2
