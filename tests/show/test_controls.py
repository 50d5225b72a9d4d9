"""Sliders: each setting is drawn, becomes a batch run, and can be saved; a report needs nobody."""

import base64
import html
import re
import struct
from pathlib import Path

import pytest

from numalab import workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.report import parameter_sets, parameters, questions
from numalab.show import controls

START = {"kernel": "linux-7.2", "scan_delay_ms": 1000, "lifetime_ms": 400.0, "pinned": 0.5}
LISTS = {
    "kernel": "kernels",
    "scan_delay_ms": "scan_delays_ms",
    "lifetime_ms": "lifetimes_ms",
    "pinned": "pin_fractions",
}


def _make(scan_delay_ms, lifetime_ms, pinned):
    churned = {"vma_lifetime_ms": lifetime_ms, "churn_pin_fraction": pinned}
    return lifetimes(scan_delay_ms=scan_delay_ms, pin_fraction=0.0, duration_ms=4000, **churned)


@pytest.fixture
def play():
    choices = {
        "kernel": ["linux-6.1", "linux-7.2"],
        "scan_delay_ms": [250, 1000],
        "lifetime_ms": [400.0, 6400.0],
        "pinned": [0.0, 0.5],
    }
    return controls.Play(make=_make, choices=choices, question="q12", parameters=LISTS, start=START)


def test_a_setting_is_a_picture_and_a_sentence(play):
    picture, text = play.picture(START)
    width, height = struct.unpack(">II", picture[16:24])
    assert picture.startswith(b"\x89PNG")
    assert (width, height) == (800, 360)
    assert re.match(r"simulated, linux-7.2: \d+ scans walked [\d.]+ MB, marked \d+ % of it", text)
    assert play.picture(START) == (picture, text)


def test_each_slider_changes_the_picture_and_nothing_stays_of_the_one_before(play):
    first = play.picture(START)
    others = {"kernel": "linux-6.1", "scan_delay_ms": 250, "lifetime_ms": 6400.0, "pinned": 0.0}
    seen = {first}
    for name, value in others.items():
        seen.add(play.picture(START | {name: value}))
    assert len(seen) == 5
    assert play.picture(START) == first


def test_a_setting_is_a_batch_run_that_the_question_takes(play):
    line, _, *yaml = play.batch(START).splitlines()
    assert line.startswith("numalab report q12 --param 'kernels=[linux-7.2]' --param ")
    assert "lifetimes_ms: [400.0]" in yaml
    q12 = questions.questions(Path())["q12"]
    words = re.findall(r"--param '([^']*)'", line)
    declared, texts = questions.declared(q12), parameter_sets.read_words(words)
    given = {name: parameters.typed(declared[name], text) for name, text in texts.items()}
    assert given == {LISTS[name]: [value] for name, value in START.items()}


def test_a_setting_is_saved_as_a_file_that_is_read_as_it_and_never_over_another(
    play, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    wanted = play.workload(START)
    controls.save_workload(wanted, "mine.toml")
    assert workload_file.load("mine.toml") == wanted
    with pytest.raises(InputError, match=r"mine.toml: is there already; give another name"):
        controls.save_workload(wanted, "mine.toml")
    with pytest.raises(InputError, match="cannot be written"):
        controls.save_workload(wanted, "no/folder.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def _widgets(play):
    box = controls.panel(play, *play.picture(play.start))
    *sliders, image, words, row, said, _ = box.children
    return dict(zip(play.choices, sliders, strict=True)), image, words, row.children, said


def test_a_slider_that_moves_changes_picture_and_words(play):
    sliders, image, words, _, _ = _widgets(play)
    before = image.value, words.value
    sliders["kernel"].value = "linux-6.1"
    assert image.value != before[0]
    assert words.value.startswith("simulated, linux-6.1: ")
    sliders["kernel"].value = "linux-7.2"
    assert (image.value, words.value) == before


def test_buttons_copy_and_save_and_say_what_was_given_wrongly(play, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sliders, _, _, (copy, save, path), said = _widgets(play)
    sliders["scan_delay_ms"].value = 250
    copy.click()
    assert "scan_delays_ms=[250]" in html.unescape(said.value)
    path.value = "a b.toml"
    save.click()
    assert "numalab simulate 'a b.toml' --policy linux-7.2" in html.unescape(said.value)
    assert workload_file.load("a b.toml").tunables.scan_delay_ms == 250
    save.click()
    assert said.value == "a b.toml: is there already; give another name"


def test_where_nobody_can_move_a_slider_there_is_a_picture(play):
    assert not controls.has_front_end()
    data, metadata = play._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    picture, text = play.picture(START)
    assert base64.b64decode(data["image/png"]) == picture
    assert metadata["image/png"]["alt"] == text


def test_a_person_gets_sliders_and_readers_of_the_saved_notebook_the_picture(play, monkeypatch):
    monkeypatch.setattr(controls, "has_front_end", lambda: True)
    data, _ = play._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
