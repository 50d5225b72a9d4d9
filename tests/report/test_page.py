"""A page: what it leaves in its folder, and that no table or letter stops it."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from numalab.report import Page, figures, folders, mail, mail_reply


def _page(out, **other):
    given = {"out": out, "reproduce": "numalab report q99"} | other
    return Page("Does it scan?", **given)


def test_a_page_leaves_a_mail_a_finding_and_its_figures(tmp_path):
    page = _page(tmp_path / "q99", source="recorded on 6.12.107", quick=True)
    da = xr.DataArray([1.0, 2.0], {"memory_mb": [1, 2]}, name="scans")
    shown = page.figure(figures.facets(da, y="scans", x="memory_mb"), name="scans", alt="scans")
    assert shown.alt == "scans"
    page.setting("Two nodes.")
    page.table(da, caption="Scans")
    page.envelope("Up to 4 GiB.")
    page.answer("Yes.")
    ds = xr.Dataset(attrs={"provenance": json.dumps({"seed": 7})})
    text = page.save(ds).text
    assert text == (tmp_path / "q99/mail.txt").read_text()
    parts = text.split("\n\n")
    assert parts[:3] == ["recorded on 6.12.107, quick run: Does it scan?", "Yes.", "Two nodes."]
    assert parts[3] == "  Scans\n  memory_mb  scans\n  1              1\n  2              2"
    assert parts[4] == "Up to 4 GiB."
    assert parts[5].startswith("reproduce: numalab report q99  # numalab ")
    mail.lint(text)
    twin = (tmp_path / "q99/fig_scans.txt").read_text()
    shown = mail_reply.text_of(tmp_path / "q99", True).split("\n\n")
    assert shown[:5] + shown[6:] == parts
    assert shown[5] == "\n".join(f"  {line}" for line in twin.splitlines())
    found = folders.read_finding(tmp_path / "q99")
    assert (found.figure, found.alt, found.quick) == ("fig_scans.png", "scans", True)
    assert (found.answer, found.envelope) == ("Yes.", "Up to 4 GiB.")
    assert found.provenance["seed"] == 7
    assert found.provenance["code"] == parts[5].rpartition("# ")[2].strip()


@pytest.mark.parametrize(
    ("table", "cells"),
    [
        (
            pd.DataFrame({f"column number {i}": [i * 1e7] for i in range(20)}),
            [*(f"column number {i}" for i in range(20)), *(f"{i}0M" for i in range(1, 20))],
        ),
        (pd.DataFrame({"name": ["x" * 300], "b": ["é µ \x00" * 40]}), ["name", "x" * 20, "e u ?"]),
        (pd.DataFrame({"a": range(500)}), ["0", "42", "79", "(80 of 500 rows"]),
        (pd.DataFrame(), ["(an empty table)"]),
        (
            xr.DataArray(np.full((2, 3, 9), np.nan), dims=("policy", "tasks", "minute"), name="x"),
            ["policy", "tasks", "-  -"],
        ),
        (
            "a text of one line that is much longer than the seventy-five columns of a mail " * 3,
            ["much longer", "columns of a mail"],
        ),
    ],
)
def test_no_table_is_refused_once_the_runs_are_done(tmp_path, table, cells):
    page = _page(tmp_path)
    page.table(table, caption="Größen: 5 µs")
    page.answer("5 ± 1 µs → “enough”…")
    text = page.save().text
    mail.lint(text)
    shown = text.partition(": 5 us\n")[2]
    assert [cell for cell in cells if cell not in shown] == []


def test_a_table_that_is_not_mailed_is_shown_only(tmp_path):
    page = _page(tmp_path)
    assert "x" in page.table(pd.DataFrame({"x": [1]}), mailed=False).text
    assert "x" not in page.save().text.partition("reproduce")[0]


def test_equal_figures_give_equal_bytes(tmp_path):
    da = xr.DataArray(np.arange(40.0).reshape(2, 20), dims=("policy", "replicate"))
    for name in ("a", "b"):
        _page(tmp_path).figure(figures.facets(da, y="scans", x="policy"), name=name, alt="scans")
    assert (tmp_path / "fig_a.png").read_bytes() == (tmp_path / "fig_b.png").read_bytes()


@pytest.mark.parametrize(
    "command",
    [
        "q08 in jupyter lab",
        "numalab report q08 " + "--param " + "'pin_fractions=[" + "0.12345, " * 30 + "1.0]'",
        "numalab report q08 " + " ".join(f"--param size_{i}={i}" for i in range(12)),
    ],
)
def test_the_last_line_is_a_command_that_can_be_pasted(tmp_path, command):
    text = _page(tmp_path, reproduce=command).save().text
    mail.lint(text)
    assert all(len(line) <= mail.WIDTH for line in text.splitlines())
    last = text.partition("reproduce: ")[2]
    words = shlex.split(last.replace("\\\n", ""))
    assert words == [*shlex.split(command), *last.split()[-5:]]
