"""The foreign program on this machine: it compiles without a warning and keeps to its protocol."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from numalab.record.initramfs import FOREIGN_SOURCES, SOURCES

RUN_NS = 300_000_000
STACK = 4 << 20
FOREVER = 10**15


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path = str(tmp_path_factory.mktemp("foreign") / "foreign")
    strict = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o", path]
    subprocess.run([*strict, *map(str, FOREIGN_SOURCES)], check=True)
    return path


class _Talk:
    """One process of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *lines: str) -> list[list[str]]:
        """Say lines; return what it answers, up to its word or its end."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()
        found = []
        while (line := self.process.stdout.readline()) not in ("", "ready\n"):
            found.append(line.split())
        return found

    def maps(self) -> dict[int, tuple[int, str]]:
        """Sizes and permissions of its mappings by address."""
        text = Path(f"/proc/{self.process.pid}/maps").read_text()
        rows = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)", text, re.MULTILINE)
        return {int(a, 16): (int(b, 16) - int(a, 16), flags) for a, b, flags in rows}


@contextmanager
def _talk(binary: str) -> Iterator[_Talk]:
    pipe = subprocess.PIPE
    with subprocess.Popen([binary], stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield _Talk(process)
            assert process.stdin
            process.stdin.close()
            assert process.wait(10) == 0
        finally:
            process.kill()


def _go(talk: _Talk) -> dict[str, int]:
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 10_000_000
    return {row[1]: int(row[2]) for row in talk.ask(f"go {begin} {begin + RUN_NS}")}


def test_it_does_what_it_is_told(binary: str) -> None:
    cpu = min(os.sched_getaffinity(0))
    with _talk(binary) as talk:
        laid = talk.ask(
            f"stack {STACK}",
            f"region a 512 2 0 0 {cpu} 256 0",
            f"region b 512 1 1 1 {cpu} 512 0",
            "main -1",
            f"thread rated {cpu} 0 0 7",
            f"access a 0 1024 1 2000 1 1 0.5 100000000 {FOREVER}",
            f"access b 0 512 0 100 0 1 0.5 0 {FOREVER}",
            "thread busy -1 1 0 8",
            f"access a 100 200 2 1000 1 10 0.9 0 {FOREVER}",
            f"move 100000000 {cpu}",
            "thread waits -1 0 1 9",
            "thread flat -1 0 0 9",
            "access b 0 512 0 0 1 1 0.5 0 200000000",
            "fill",
        )
        assert [row[:2] for row in laid] == [["mapping", "a"]] * 2 + [["mapping", "b"]]
        maps = talk.maps()
        starts = [int(row[2], 16) for row in laid]
        sizes = {"a": ((2 << 20), "rw-p"), "b": ((2 << 20), "rw-s")}
        assert [maps[at] for at in starts] == [sizes[row[1]] for row in laid]
        assert starts[2] % (2 << 20) == 0
        made = talk.ask("threads")
        assert [row[:2] for row in made] == [
            ["thread", name] for name in ("rated", "busy", "waits", "flat")
        ]
        assert [int(row[3]) for row in made] == sorted(int(row[3]) for row in made)
        folder = Path(f"/proc/{talk.process.pid}/task")
        assert {row[2] for row in made} < {path.name for path in folder.iterdir()}
        assert [size for size, _ in talk.maps().values()].count(STACK) == 4
        touches = _go(talk)
        assert touches["rated"] == pytest.approx(430, rel=0.2)
        assert touches["busy"] == pytest.approx(300, rel=0.2)
        assert touches["waits"] == 0
        assert touches["flat"] >= 256
        used = {row[1]: int((folder / row[2] / "schedstat").read_text().split()[0]) for row in made}
        assert used["busy"] > 5 * used["rated"]
        assert used["waits"] < 0.05 * RUN_NS
        moved = (folder / made[1][2] / "status").read_text()
        assert f"Cpus_allowed_list:\t{cpu}\n" in moved


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("nonsense",), "not understood: nonsense"),
        (("thread t 0 0 0 1", "access x 0 1 0 0 1 1 0.5 0 1"), "no region x"),
        (("stack 1000", "thread t -1 0 0 1", "threads"), "stacks of 1000 bytes: too small"),
        (("thread t 70000 0 0 1", "threads"), "CPU 70000: "),
    ],
)
def test_what_goes_wrong_is_one_line(binary: str, lines: tuple[str, ...], said: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    found = subprocess.run([binary], input=text, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stdout.startswith(said)
    assert found.stdout.count("\n") == 1


def test_it_shares_no_file_with_the_init() -> None:
    folder = FOREIGN_SOURCES[0].parent
    assert sorted(folder.glob("*.c")) == sorted(FOREIGN_SOURCES)
    for path in folder.iterdir():
        assert set(re.findall(r'#include "(.*)"', path.read_text())) <= {"bench.h"}
    assert not {path.name for path in folder.iterdir()} & {path.name for path in SOURCES}
