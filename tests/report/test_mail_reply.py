"""``numalab mail``: from a report's folder and a thread to a message, or one line."""

import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from numalab.fields import InputError
from numalab.report import folders, mail_reply
from numalab.report.mail_reply import Asked
from tests.command import numalab
from tests.fuzz.mail import BODY

ROOT = Path(__file__).parent.parent.parent
THREAD = ROOT / "tests/data/thread.mbox"
PNG = b"\x89PNG\r\n\x1a\n"
ME = "Jörg <me@example.org>"


@pytest.fixture
def report(tmp_path):
    """A folder of reports with one question, which has two figures."""
    folder = tmp_path / "q99_x"
    found = folders.Finding(
        question="?", answer="yes", figure="fig_main.png", quick=False, source="simulated"
    )
    folders.write_finding(folder, found, BODY)
    for name in ("fig_main.png", "fig_a.png"):
        (folder / name).write_bytes(PNG)
    return tmp_path


def _compose(report, **asked):
    said = []
    data = mail_reply.compose(report / "q99_x", Asked(**{"sender": ME} | asked), said.append)
    return message_from_bytes(data, policy=policy.default), said


def test_a_reply_to_a_thread_has_its_people_subject_and_chain(report):
    found, said = _compose(report, in_reply_to=str(THREAD), quote="4-5", attach=True)
    assert [p.addr_spec for p in found["To"].addresses] == ["jane@example.net"]
    assert len(found["Cc"].addresses) == 4
    assert found["Subject"] == "Re: [PATCH v2 0/3] sched/numa: scan less of what cannot move"
    assert len(found["References"].split()) == 2
    text, figure = found.iter_parts()
    assert text.get_content().startswith(
        "On Wed, 04 Mar 2026 08:30:00 +0000, Doe, Jane wrote:\n> H"
    )
    assert text.get_content().endswith(BODY)
    assert figure.get_filename() == "fig_main.png"
    assert said == [f"reply to Doe, Jane: <aabbccdd@laptop.example.net> {found['Subject']}"]


def test_a_reply_to_an_id_needs_a_subject_and_to(report):
    asked = {"in_reply_to": "https://lore.kernel.org/linux-mm/a@b/", "to": ("l@x.org",)}
    found, said = _compose(report, subject="Re: Ärger", **asked)
    assert (found["References"], found["Subject"], found["To"]) == ("<a@b>", "Re: Ärger", "l@x.org")
    assert said == [
        "References hold the parent alone, To and Cc are yours: an mbox has the thread's"
    ]


def test_given_options_go_before_those_of_the_thread(report):
    found, _ = _compose(
        report, in_reply_to=str(THREAD), message="<20260303090000.1-1-juergen@example.org>",
        subject="x", to=("l@x.org", "JUERGEN@example.org"), cc=("jane@example.net", "l@x.org"),
        date="2026-03-05T10:00+01:00", figures=("a", "fig_main.png"),
    )  # fmt: skip
    assert [p.addr_spec for p in found["To"].addresses] == ["juergen@example.org", "l@x.org"]
    assert [p.addr_spec for p in found["Cc"].addresses].count("jane@example.net") == 1
    assert (found["Subject"], found["Date"]) == ("x", "Thu, 05 Mar 2026 10:00:00 +0100")
    assert [p.get_filename() for p in found.iter_attachments()] == ["fig_a.png", "fig_main.png"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "no subject: give --subject"),
        ({"subject": "s"}, "to whom"),
        ({"in_reply_to": "a@b"}, "no subject"),
        ({"in_reply_to": "a@b", "subject": "s"}, "to whom"),
        ({"in_reply_to": "none.mbox"}, "none.mbox: is not a regular file"),
        ({"in_reply_to": "\0"}, "must be a message id"),
        ({"in_reply_to": "x" * 5000}, "must be a message id"),
        ({"in_reply_to": "a@b", "message": "c@d"}, "belongs to an mbox"),
        ({"in_reply_to": str(THREAD), "message": "c@d"}, "holds no message <c@d>"),
        ({"quote": "1-2"}, "--quote: belongs to a reply"),
        ({"message": "a@b"}, "--message: belongs to a reply"),
        ({"in_reply_to": str(THREAD), "quote": "1-99"}, "the message has lines 1 to 7"),
        ({"in_reply_to": "a@b", "quote": "1-2"}, "give its thread as an mbox"),
        ({"in_reply_to": str(THREAD), "sender": "me"}, "--from 'me': must be 'Name <local@"),
        ({"in_reply_to": str(THREAD), "to": ("a\nBcc: b@c",)}, "--to "),
        ({"in_reply_to": str(THREAD), "date": "yesterday"}, "--date 'yesterday': must be as 2026"),
        ({"in_reply_to": str(THREAD), "figures": ("../x",)}, "has: fig_a.png, fig_main.png"),
        ({"in_reply_to": str(THREAD), "subject": "=?utf-8?q?a=0ABcc:_b@c?="}, "without '=?'"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(report, asked, message):
    with pytest.raises(InputError, match=r"\S") as caught:
        _compose(report, **asked)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def _git(monkeypatch, home, text):
    (home / ".gitconfig").write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(home)


def test_git_says_who_the_sender_is(report, monkeypatch, tmp_path):
    _git(
        monkeypatch, tmp_path, "[user]\nname = Ämma \\u00e9 <x>\nemail = a@b.c\n".replace("\\u", "")
    )
    found, _ = _compose(report, sender="", in_reply_to=str(THREAD))
    assert found["From"].addresses[0].addr_spec == "a@b.c"
    _git(monkeypatch, tmp_path, "[user]\nname = nobody\n")
    with pytest.raises(InputError, match="from whom"):
        _compose(report, sender="", in_reply_to=str(THREAD))


def test_the_command_writes_the_same_bytes_twice(report):
    words = ["q99", "--out", report, "--in-reply-to", THREAD, "--quote", "1-2", "--from", ME]
    line = [sys.executable, "-m", "numalab", "mail", *map(str, words)]
    first, second = (subprocess.run(line, cwd=ROOT, capture_output=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    file = report / "m.eml"
    file.write_bytes(first.stdout)
    assert numalab("mail", "--lint", file).stdout == ""


def test_the_command_prints_text_lines_and_findings(report):
    assert numalab("mail", "q99", "--out", report).stdout == BODY
    shown = numalab("mail", "--lines", "--in-reply-to", THREAD)
    assert shown.stdout.splitlines()[4] == "   5 Do you have numbers for a guest of 4 GB?"
    bad = report / "bad.txt"
    bad.write_bytes(b"simulated\n\tx\n\x1b\n")
    done = numalab("mail", "--lint", bad)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{bad}: line 2: holds a tab: ASCII and blanks only",
        f"{bad}: line 3: holds a control character: printable ASCII only",
    ]
    (report / "quick" / "q99_x").mkdir(parents=True)
    (report / "quick" / "q99_x" / "mail.txt").write_text(BODY)
    assert "the last of 2 reports of q99" in numalab("mail", "q99", "--out", report).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "of which question"),
        (("--lint", "none"), "--lint none: is not a regular file"),
        (("--lines",), "--lines: belongs to a reply"),
        (("--lines", "--in-reply-to", "a@b"), "of an id alone no lines are known"),
    ],
)
def test_a_command_that_cannot_be_done_is_one_line(words, message):
    done = numalab("mail", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
