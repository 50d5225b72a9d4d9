"""Every bound of docs/workload.md is the one that a workload file is held to."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from numalab.fields import InputError
from numalab.workload_file import from_tables
from tests.command import ROOT

PAGE = (ROOT / "docs/workload.md").read_text(encoding="utf-8")
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| [^|]* \| [^|]* \| ([^|]+) \| [^|]+ \|")


def _rows() -> list[tuple[str, str, str, str]]:
    """Section, key, type and bounds of each row that has bounds."""
    found, section = [], ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`[]")
        elif (row := ROW.fullmatch(line)) and row[3].strip():
            found.append((section, *row.groups()))
    return found


ROWS = _rows()


def _file(section: str, key: str, value: Any) -> dict[str, Any]:
    """Return a workload in which any value within the bounds of a key makes sense."""
    vma = {"name": "v", "size_mb": 1 << 20 if section == "churn" else 2}
    access, move = {"vma": "v"}, {"at_ms": 0, "cpu": 0}
    task = {"name": "t", "cpu": 0, "access": [access], "move": [move]}
    churn = {"name": "c", "size_mb": 2, "lifetime_ms": 10}
    tables: dict[str, Any] = {
        "workload": {"name": "w", "duration_ms": 8.64e7, "sample_ms": 1.0},
        "machine": {"nodes": 64, "cpus_per_node": 1024, "memory_mb": 1 << 36},
        "machine.speed": {},
        "tunables": {"scan_period_min_ms": 1, "scan_period_max_ms": 3_600_000},
        "process": {"name": "main"},
        "vma": vma, "task": task, "task.access": access, "task.move": move, "churn": churn,
    }  # fmt: skip
    if key == "memory_mb":
        vma["size_mb"] = churn["size_mb"] = 1
    if key == "count" and section == "task":
        del task["move"], task["access"]
    if (section, key) == ("task", "cpu") and value < 0:
        del task["move"]
    if key == "lifetime" and value == "pareto":
        churn["lifetime_shape"] = 2
    if key == "subscriber" and value in ("kvm", "sev"):
        vma["kind"] = "anon"
    if (key, value) == ("kind", "file_ro"):
        access["write"] = False
    tables[section][key] = value
    machine = {**tables["machine"], "speed": tables["machine.speed"]}
    return {
        "workload": tables["workload"], "machine": machine, "tunables": tables["tunables"],
        "process": [tables["process"]], "vma": [vma], "task": [task], "churn": [churn],
    }  # fmt: skip


def _refused(section: str, key: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        from_tables(_file(section, key, value))
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_page_has_all_sections_and_bounds():
    assert len(ROWS) > 60
    assert {section for section, *_ in ROWS} >= {"machine", "machine.speed", "tunables", "churn"}


@pytest.mark.parametrize(("section", "key", "kind", "bounds"), ROWS)
def test_a_bound_is_accepted_and_what_is_beyond_it_refused(section, key, kind, bounds):
    if " .. " not in bounds:
        words = [int(one) if kind == "int" else one for one in bounds.split(", ")]
        for word in words:
            from_tables(_file(section, key, word))
        for other in (min(words) - 1, max(words) + 1, 200) if kind == "int" else ("other", ""):
            _refused(section, key, other)
        return
    number = int if kind == "int" else float
    for bound, step in zip(bounds.split(" .. "), (-1, 1), strict=True):
        if not bound[0].isalpha():
            last = number(float(bound))
            from_tables(_file(section, key, last))
            _refused(
                section,
                key,
                last + step if kind == "int" else math.nextafter(last, step * math.inf),
            )
            continue
        other = _file(section, key, 0)
        word, name = bound.split()
        limits = {"hi": 1.0, "lo": 0.0, "stop_ms": 1e9, "start_ms": 0.0}
        limit = limits.get(name, other["workload"].get(name))
        _refused(section, key, limit)
        from_tables(_file(section, key, math.nextafter(limit, -step * math.inf)))


def test_the_bounds_of_formats_are_those_of_the_page():
    assert "`format`: 1 (default) or 2" in PAGE
    for value, fits in ((0, False), (1, True), (2, True), (3, False)):
        if fits:
            from_tables(_file("workload", "format", value))
        else:
            _refused("workload", "format", value)
