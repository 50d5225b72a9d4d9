"""The C files of the guest's init: they compile without a warning, and call only downward."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from numalab.record.initramfs import SOURCES


@pytest.fixture(scope="module")
def symbols(tmp_path_factory) -> dict[str, tuple[set[str], set[str]]]:
    """Of each file: the symbols that it defines for others, and those that it needs."""
    for name in ("gcc", "nm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("init")
    strict = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-c"]
    found = {}
    for source in SOURCES:
        subprocess.run([*strict, str(source), "-o", "object"], cwd=folder, check=True)
        lines = subprocess.run(["nm", "-g", "object"], cwd=folder, capture_output=True, check=True)
        kinds = [line.split()[-2:] for line in lines.stdout.decode().splitlines()]
        found[source.name] = (
            {name for kind, name in kinds if kind != "U"},
            {name for kind, name in kinds if kind == "U"},
        )
    return found


def test_every_file_calls_only_files_listed_after_it(symbols) -> None:
    calls = {
        name: [other for other, (defined, _) in symbols.items() if needed & defined]
        for name, (_, needed) in symbols.items()
    }
    order = list(symbols)
    for name, called in calls.items():
        assert all(order.index(other) > order.index(name) for other in called), (name, called)
        assert called or name == "output.c"


def test_every_file_includes_the_header_of_what_it_calls_and_none_above_it() -> None:
    order = [path.stem for path in SOURCES]
    for path in SOURCES:
        headers = re.findall(r'#include "(\w+)\.h"', path.read_text())
        assert all(order.index(name) >= order.index(path.stem) for name in headers), path.name
    for path in Path(SOURCES[0].parent).glob("*.h"):
        headers = re.findall(r'#include "(\w+)\.h"', path.read_text())
        assert all(order.index(name) > order.index(path.stem) for name in headers), path.name


def test_all_files_of_the_folder_are_built() -> None:
    assert sorted(SOURCES[0].parent.glob("*.c")) == sorted(SOURCES)
