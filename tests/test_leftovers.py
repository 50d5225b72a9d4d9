"""A test that leaves something behind is told so, by name; one that hangs is ended."""

import subprocess
import sys
import threading

import pytest

from tests import leftovers

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(leftovers, "PATIENCE_S", 0.2)


def test_nothing_is_left_of_nothing():
    assert leftovers.since(leftovers.alive()) == []


def test_a_process_is_named_until_it_has_ended():
    before = leftovers.alive()
    line = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(line) as process:
        try:
            (left,) = leftovers.since(before)
            assert left.startswith(f"process {process.pid} (")
        finally:
            process.kill()
    assert leftovers.since(before) == []


def test_a_thread_is_named_until_it_has_ended():
    before, end = leftovers.alive(), threading.Event()
    thread = threading.Thread(target=end.wait, name="endless")
    thread.start()
    try:
        assert leftovers.since(before) == [f"thread {thread.ident} (endless)"]
    finally:
        end.set()
        thread.join()
    assert leftovers.since(before) == []


@pytest.mark.cluster
def test_a_dask_client_is_named_until_it_is_closed():
    distributed = pytest.importorskip("distributed")
    before = leftovers.alive()
    cluster = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}  # None is port 8787
    with distributed.Client(**cluster) as client:
        assert f"dask client {client.id}" in leftovers.since(before)
    assert leftovers.since(before) == []


HANGS = """
import sys
import time
import pytest
from tests import conftest

conftest.GRACE_S = 1.0

class Deaf:
    def __del__(self):
        time.sleep(600)

@pytest.mark.timeout(1)
def test_sleeps():
    time.sleep(600)

def test_passes():
    pass

@pytest.mark.timeout(1)
def test_cannot_be_interrupted():
    for _ in range(2):
        Deaf()
"""


@pytest.mark.slow
def test_tests_that_hang_are_ended_and_say_where_they_stood(pytester):
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\ntimeout = 60\nmarkers = ['cluster: c']")
    pytester.makepyfile(HANGS)
    done = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", timeout=60)
    out, err = done.stdout.str(), done.stderr.str()
    assert "test_sleeps FAILED" in out
    assert "test_passes PASSED" in out
    assert "Timeout (0:00:02)!" in err
    assert "in __del__" in err
    assert done.ret == 1
