import os
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.report import mail, mail_reply


def _body(first="simulated: does it scan?", table="a  b"):
    return "\n\n".join([first, "yes", table, "reproduce: make report"]) + "\n"


def test_a_mail_that_a_list_takes_passes():
    first = "recorded on 6.12: does it scan?"
    assert [mail.lint(body) for body in (_body(), _body(first))] == [None, None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_body("measured: does it scan?"), "must begin"),
        (_body(table="5 µs"), "ASCII"),
        (_body(table="x" * 76), "76 columns"),
        (_body() + "x" * 76, "76 columns"),
        (_body(table="a\tb"), "ASCII"),
        *((_body(table=f"a{c}b"), "ASCII") for c in "\r\v\f\x00\x1b\x1c\x85\u2028\u2029\u202e"),
        (_body(table="a\r\nb"), "ASCII"),
        (_body().rpartition("reproduce")[0], "how to reproduce"),
        (_body(table="\n".join(["x"] * 60_000)), "at most 100000"),
    ],
)
def test_mail_that_a_list_would_refuse_is_refused(body, message):
    with pytest.raises(InputError, match=message):
        mail.lint(body)


@pytest.mark.parametrize("question", ["*", "../reports/q08", "/etc", "q0?", "", "q08/..", "[q]"])
def test_the_name_of_a_question_is_no_pattern_and_no_path(question, tmp_path):
    (tmp_path / "q08_x").mkdir()
    (tmp_path / "q08_x" / "mail.txt").write_text(_body())
    assert mail_reply.text_of(mail.folder_of("q08", tmp_path)[0], False) == _body()
    with pytest.raises(InputError, match="must be a name such as q02"):
        mail.folder_of(question, tmp_path)


@pytest.mark.parametrize("last", ["q08_x", "run/q08", "quick/q08_x"])
def test_the_last_report_is_found_wherever_it_was_made(last, tmp_path):
    for i, name in enumerate(("q08_x", "run/q08", "quick/q08_x", "run/q081")):
        file = tmp_path / name / "mail.txt"
        file.parent.mkdir(parents=True)
        file.write_text(_body())
        os.utime(file, (i, 100 if name == last else i))
    assert mail.folder_of("q08", tmp_path) == (tmp_path / last, 3)


def _pasted(text):
    """Take the lines behind ``reproduce:`` as a shell does, without the comment."""
    command = text.removeprefix("reproduce:").rpartition("# ")[0].rstrip("\n ")
    return shlex.split(command.replace("\\\n", ""))


def test_a_long_line_goes_on_below_and_can_be_pasted():
    command = shlex.join(["numalab", "report", "q02", "--param", f"sizes={[*range(1000, 1030)]}"])
    lines = mail.reproduce(command, "numalab 0.1.0, model 12ab").split("\n")
    assert lines[:3] == [
        "reproduce: numalab report q02 \\",
        "    --param 'sizes=[1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, '\\",
        "'1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, '\\",
    ]
    assert lines[-1] == "# numalab 0.1.0, model 12ab"
    assert _pasted("\n".join(lines)) == shlex.split(command)


printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)


@given(st.lists(printable, max_size=4))
def test_any_parameters_fit_and_arrive_as_they_were(values):
    words = ["numalab", "report", "q02", "--quick"]
    words += [w for i, value in enumerate(values) for w in ("--param", f"p{i}={value}")]
    text = mail.reproduce(shlex.join(words), "numalab 0.1.0, model 7e02806c28da54c5")
    assert max(map(len, text.split("\n"))) <= mail.WIDTH
    assert _pasted(text) == words


@pytest.mark.parametrize("said", ["q02 in jupyter lab", "don't know"])
def test_what_is_no_command_stands_there_as_it_is(said):
    assert mail.reproduce(said, "x") == f"reproduce: {said}  # x"
