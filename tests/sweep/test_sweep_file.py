"""Sweep files are read, and what is wrong with one is said in one line."""

import re
from pathlib import Path

import pytest

from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweep import sweep_file
from numalab.sweep.plan import Plan
from numalab.sweep.points import points_of

HEAD = '[sweep]\nworkload = "lifetimes"\n'
FOLDER = Path("data/sweeps")


def test_the_big_grid_has_all_its_runs():
    made = sweep_file.load(FOLDER / "lifetimes.toml")
    assert made.source is lifetimes
    assert made.shape == (7, 8, 6, 5)
    assert 7 * 8 * 6 * 5 * made.replicates == 50_400


def test_a_sample_beside_a_grid():
    made = sweep_file.load(FOLDER / "knobs.toml")
    assert made.source.name == "churn-long"
    assert made.shape == (2, 64)
    lives = made.axes[1].settings["churn.old.lifetime_ms"]
    assert made.axes[1].coords["lifetime_ms"] == lives
    assert 50 <= min(lives) < 60
    assert 7000 < max(lives) <= 8000
    assert {type(size) for size in made.axes[1].coords["scan_size_mb"]} == {int}


def test_the_sweep_of_the_documentation_can_be_run():
    text = Path("docs/sweeps.md").read_text().split("```toml\n")[1].split("```")[0]
    plan = Plan(sweep_file.parse(text.replace("points = 64", "points = 2")))
    assert plan.sweep.shape == (2, 2, 8, 5, 2, 2)
    assert {point.status for point in plan.points if point.start} == {"done"}
    out = [point.reason for point in plan.points if not point.start]
    assert len(out) == 2 * 8 * 5 * 2
    assert set(out) == {"life > 100 and remedy == 'mbind'"}
    assert not [line for line in plan.summary() if "changes nothing" in line]


def test_a_name_with_dots_needs_no_quotes():
    fixed = "[fixed]\nscan_delay_ms = 9\nvma_lifetime_ms = 9\npin_fraction = 0\n"
    found = [
        sweep_file.parse(HEAD + fixed + part)
        for part in (
            "vma.old.thp = true\n[axes]\nchurn.short_lived0.gap_ms = {lowest=1,highest=2,num=2}",
            '"vma.old.thp" = true\n[axes]\n"churn.short_lived0.gap_ms" = [1, 2]',
            "[fixed.vma]\nold.thp = true\n[axes]\nchurn.short_lived0.gap_ms.values = [1, 2]",
        )
    ]
    assert [p.key for p in points_of(found[0])] == [p.key for p in points_of(found[1])]
    assert [p.key for p in points_of(found[0])] == [p.key for p in points_of(found[2])]
    assert found[0].fixed["vma.old.thp"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "workload is missing"),
        ("x", "not TOML"),
        ("[sweeps]", "unknown section 'sweeps'; did you mean 'sweep'"),
        ("sweep = 3", "must be a [table]"),
        ('[sweep]\nworkload = "lifetime"', "did you mean 'lifetimes'"),
        ('[sweep]\nworkload = "none.toml"', "none.toml: cannot be read: No such file"),
        ("[sweep]\nworkload = 4", "must be text"),
        (HEAD + "replicate = 4", "did you mean 'replicates'"),
        (HEAD + 'replicates = "4"', "replicates = '4': must be a whole number"),
        (HEAD + "seed = 1.5", "seed = 1.5: must be a whole number"),
        (HEAD + 'drop = "a > b"', "drop = 'a > b': must be a list"),
        (HEAD + "drop_invalid = 1", "must be true or false"),
        (HEAD + "[axes]\nhz = 250", 'axis "hz": 250: must be a list or { lowest'),
        (HEAD + "[axes]\nhz = []", 'axis "hz": holds no value'),
        (HEAD + "[axes]\nhz = { lowest = 1, num = 3 }", 'axis "hz": highest is missing'),
        (
            HEAD + "[axes]\nhz = { lowest = 3, highest = 1, num = 3 }",
            "lowest = 3: must be below highest = 1",
        ),
        (HEAD + "[axes]\nhz = { lowest = 0, highest = 1, log = true }", "must be above 0 with log"),
        (HEAD + "[axes]\nhz = { lowest = 1, highest = 9, nmu = 3 }", "did you mean 'num'"),
        (
            HEAD + "[axes]\nhz = { lowest = 1, highest = 9, num = 3.5 }",
            "num = 3.5: must be a whole",
        ),
        (HEAD + "[axes]\nhz = { values = 3 }", "values must be a list"),
        (HEAD + "[axes]\nreplicate = [1]", 'axis "replicate": the result holds something'),
        (HEAD + "[fixed]\npin_fracton = 1", "did you mean 'pin_fraction'"),
        (
            HEAD + "[axes]\nhz = { lowest = nan, highest = 1, num = 3 }",
            "lowest = nan: must be finite",
        ),
        (
            HEAD + "[axes]\nhz = { lowest = 1, highest = 1e308, num = 3 }",
            "highest = 1e+308: must",
        ),
        (HEAD + "[axes]\nvma.old.tph = [true]", "unknown field of vma.old 'tph'"),
        (HEAD + "[axes]\nhz = [1, 2.]", "not TOML: "),
        (HEAD + "[axes]\nhz = [1\nb.c = 3", "not TOML: "),
        ('[sweep]\nworkload = "a\\u0000.toml"', "a\\x00.toml: cannot be read: embedded null"),
        (HEAD + "[sample.axes]\nhz = [1]", "points = None: must be a whole number"),
        (HEAD + "[sample]\nmethod = 'halton'\naxes.hz = [1]", "must be one of sobol"),
        (HEAD + "[sample]\npoints = 4", "axes must be a [sample.axes] table"),
        (HEAD + "[sample]\npoints = 4\naxes = 3", "must be a [sample.axes] table"),
    ],
)
def test_a_bad_file_is_one_line(text, message):
    with pytest.raises(InputError) as caught:
        sweep_file.parse(text, "s.toml")
    assert str(caught.value).startswith("s.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read: No such file"):
        sweep_file.load(tmp_path / "none.toml")


@pytest.mark.parametrize("depth", [9, 30, 400, 100_000])
@pytest.mark.parametrize("field", ["vma_lifetime_ms", "process.main.cpuset_mems"])
def test_lists_within_lists_are_one_line(field, depth):
    for part in (
        "[fixed]\n{} = {}",
        "[axes]\n{} = [{}]",
        "[axes]\nx = {{field='{}', values=[{}]}}",
    ):
        nested = "[" * depth + "1" + "]" * depth
        with pytest.raises(InputError) as caught:
            sweep_file.parse(HEAD + part.format(field, nested))
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            "[sample]\nmethod = []\npoints = 2\n[sample.axes]\nx = [1]",
            "method = []: must be one of",
        ),
        ("[sample]\npoints = 2\n[sample.axes]\nx = {field = [], values = [1]}", "field = []: must"),
        ("[axes]\nx = {field = [], values = [1]}", "field = []: must be text or a list of texts"),
    ],
)
def test_lists_where_a_text_belongs_are_one_line(part, message):
    with pytest.raises(InputError, match=re.escape(message)):
        sweep_file.parse(HEAD + part)
