"""The tables of docs/performance.md come from one run of the benchmarks, between two lines."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _table():
    spec = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _one(group, name, seconds, params=None, **info):
    return {
        "group": group,
        "name": name,
        "params": params,
        "param": name.rpartition("[")[2].rstrip("]"),
        "stats": {"median": seconds},
        "extra_info": info,
    }


RUN = {
    "datetime": "2026-01-02T03:04:05",
    "machine_info": {"cpu": {"brand_raw": "a CPU"}},
    "benchmarks": [
        _one("small", "test_engine_small", 0.03, engine_s=0.001, hint_faults=20480),
        _one("small", "test_simpy_small", 0.5, hint_faults=20480),
        _one("VMAs", "test_vmas[10]", 0.1, {"size": 10}, engine_s=0.002, layout_s=0.01),
        _one("VMAs", "test_vmas[9]", 0.0, {"size": 9}, refused="count = 9: too odd"),
        _one("VMAs", "test_vmas[1000]", 0.2, {"size": 1000}, engine_s=0.008, layout_s=0.1),
    ],
}


def test_rows_hold_medians_ratios_and_refusals():
    text = _table().text(RUN)
    assert "| 20,480 | 500 ms | 500 x |" in text
    assert "| VMAs 1,000 | 8 ms | 100 ms | 200 ms | 4 x |" in text
    assert "refused | count = 9: too odd" in text


def test_only_what_stands_between_the_markers_changes_and_a_second_time_nothing(tmp_path):
    table = _table()
    source, target = tmp_path / "bench.json", tmp_path / "page.md"
    source.write_text(json.dumps(RUN))
    target.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.main(source, target)
    once = target.read_text()
    assert once.startswith("before\n") and once.endswith("after\n") and "old" not in once
    table.main(source, target)
    assert target.read_text() == once
    target.write_text("no markers")
    with pytest.raises(SystemExit, match="needs one line"):
        table.main(source, target)


def test_the_page_has_the_markers():
    table, page = _table(), (ROOT / "docs/performance.md").read_text()
    assert page.count(table.BEGIN) == page.count(table.END) == 1
