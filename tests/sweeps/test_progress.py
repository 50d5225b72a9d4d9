"""Progress is lines in a file and a bar on a terminal."""

import os
import pty
import subprocess
import sys

from numalab.sweeps import progress

SHOW = """
from numalab.sweeps import progress
progress._EVERY_S = 0
with progress.shown(40, print) as advance:
    advance(10)
    advance(30)
"""


def test_lines_say_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    said = []
    with progress.shown(40, said.append) as advance:
        advance(10)
        advance(30)
    assert said[0].startswith("10 of 40 runs, ")
    assert " runs/s, " in said[0]
    assert said[1].startswith("40 of 40 runs, ")
    assert said[1].endswith(" 0 s left")


def test_a_short_sweep_says_nothing():
    said = []
    with progress.shown(40, said.append) as advance:
        advance(40)
    assert said == []


def test_a_terminal_shows_a_bar():
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", SHOW], stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert done.stdout == b""
    assert "40/40" in shown
    assert "runs/s" in shown
