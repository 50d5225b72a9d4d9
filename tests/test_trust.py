"""The page of trust names readers and limits that the code has, and all that reads."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.command import ROOT

PAGE = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(numalab(?:\.\w+)+)`", PAGE)))
READS = re.compile(
    r"read_text\(|read_bytes\(|\.open\(\"r|open_dataset\(|tomllib\.load|nbformat\.read|mailbox\."
)
OWN = (
    "numalab.cli",
    "numalab.cli_mail",
    "numalab.cli_output",
    "numalab.files",
    "numalab.templates",
)
OF_REPORTS = (
    "folders",
    "mail_reply",
    "preflight",
    "published",
    "questions",
)
"""Read for one of the readers of the page, or what the report itself has written."""


def _found(name: str) -> object:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_is_there(name):
    assert _found(name) is not None


def test_limits_are_those_of_the_page():
    limits = re.findall(r"`(numalab[\w.]+)` = (\d+)", PAGE)
    assert len(limits) >= 4
    for name, number in limits:
        assert _found(name) == int(number), name


def test_every_module_that_reads_files_is_on_the_page():
    listed = {*NAMES, *(name.rpartition(".")[0] for name in NAMES), *OWN}
    listed |= {f"numalab.report.{name}" for name in OF_REPORTS}
    listed -= {"numalab", "numalab.report"}
    readers = []
    for path in sorted((ROOT / "numalab").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if READS.search(path.read_text(encoding="utf-8")):
            readers.append(name)
            above = [".".join(name.split(".")[:i]) for i in range(2, name.count(".") + 2)]
            assert listed & {*above}, f"{name} reads files: say in docs/trust.md from whom"
    assert len(readers) > 8


def test_every_input_of_a_stranger_has_a_reader_and_limits():
    part = PAGE.split("## From a stranger")[1].split("## To be trusted")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 5
        assert all(cells), row
        assert "`numalab." in cells[1]
