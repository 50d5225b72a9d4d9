"""Threads as public-inbox gives them, and as nobody should."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from numalab.fields import InputError
from numalab.report import mail_message, mail_thread
from numalab.report.mail_headers import Person

THREAD = Path(__file__).parent.parent / "data" / "thread.mbox"
JANE = Person("Doe, Jane", "jane@example.net")
JUERGEN = Person("Jürgen Müller", "juergen@example.org")
REST = (
    Person("Some Maintainer", "maintainer@example.com"),
    Person("", "linux-mm@lists.example.org"),
    Person("", "linux-kernel@lists.example.org"),
)


def test_the_last_message_is_replied_to_with_the_whole_chain():
    found = mail_thread.read(THREAD)
    assert (found.message_id, found.author) == ("aabbccdd@laptop.example.net", "Doe, Jane")
    assert found.references == ("20260303090000.1-1-juergen@example.org",)
    assert (found.sender, found.others) == ((JANE,), (JUERGEN, *REST))
    assert found.date == datetime(2026, 3, 4, 8, 30, tzinfo=UTC)
    assert found.lines[0] == "On Tue, Mar 03, 2026 at 10:00:00AM +0100, Jürgen Müller wrote:"
    assert found.lines[-1] == "\tJane"


def test_another_message_is_chosen_by_its_id():
    found = mail_thread.read(THREAD, "20260303090000.1-1-juergen@example.org")
    assert found.sender == (JUERGEN,)
    assert found.subject == "[PATCH v2 0/3] sched/numa: scan less of what cannot move"
    assert found.lines[-1] == "From what was seen here, nothing moves."
    envelope = mail_message.reply(found, Person("", REST[1].address.upper()), found.date)
    assert envelope.to == (JUERGEN,)
    assert envelope.cc == (REST[0], JANE, REST[2])  # without oneself
    assert envelope.subject == f"Re: {found.subject}"


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_compressed_thread_and_a_single_message_are_taken(tmp_path, ends):
    data = THREAD.read_bytes().replace(b"\n", ends)
    packed, single = tmp_path / "t.mbox.gz", tmp_path / "raw"
    packed.write_bytes(gzip.compress(data))
    single.write_bytes(data.rpartition(b"From mboxrd@z")[2].partition(b"\n")[2])
    assert mail_thread.read(packed) == mail_thread.read(THREAD) == mail_thread.read(single)


def test_the_file_of_the_thread_is_not_written(tmp_path):
    file = tmp_path / "t.mbox"
    file.write_bytes(THREAD.read_bytes())
    os.utime(file, (1, 1))
    mail_thread.read(file)
    assert [path.name for path in tmp_path.iterdir()] == ["t.mbox"]
    assert (file.read_bytes(), file.stat().st_mtime) == (THREAD.read_bytes(), 1)


def _mbox(*lines, first="Message-ID: <a@b>"):
    return "\n".join(["From x Thu Jan  1 00:00:00 1970", first, *lines]).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no message with a message id"),
        (b"\0" * 1000, "holds no message"),
        (_mbox(first="Message-ID: <a@b c@d>"), "holds no message"),
        (_mbox(first="Message-ID: =?utf-8?q?=3Ca=40b=3E?="), "holds no message"),
        (b"From x\n\n" * 2001, "2001 messages: at most 2000"),
        (b"x" * 20_000_001, "more than 20 MB"),
        (gzip.compress(b"\0" * 30_000_000), "more than 20 MB"),
        (gzip.compress(THREAD.read_bytes())[:-9], "cannot be read"),
        (b"\x1f\x8bxxxxxxxxxxxxxxxxxxxxxx", "cannot be read"),
        (_mbox(f"X: {'x' * 200_000}"), "headers of 200"),
        (_mbox("To: " + ", ".join(f"u{i}@example.org" for i in range(3000))), "recipients"),
        (_mbox("To: " + ", ".join(f"u{i}@example.org" for i in range(150))), "150 recipients"),
        (_mbox(*["Content-Type: multipart/mixed; boundary=x", "", "--x"] * 99), "parts"),
    ],
)
def test_a_thread_that_is_none_is_one_line(data, message, tmp_path):
    path = tmp_path / "t.mbox"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        mail_thread.read(path)


def test_a_pipe_is_no_thread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="is not a regular file"):
            mail_thread.read(path)


def test_what_a_stranger_writes_is_cleaned(tmp_path):
    path = tmp_path / "t.mbox"
    path.write_bytes(
        _mbox(
            "From: =?utf-8?b?RXZlCkJjYzogdkBleGFtcGxlLm9yZxtbMko=?= <eve@example.org>",
            "To: =?x-no?q?a?= <a@example.org>, no address, \x1b@x, ü@example.org",
            "Subject: =?utf-8?q?Re:_re:_a=0D=0AX:_=E2=80=AEb?=",
            "References: <1@x> junk <2@x> <=?q?@x> <1@x>",
            "Date: Tue, 99 Mar 99999 99:99 +9999",
            "Content-Type: text/plain; charset=unicode_escape",
            "",
            "a\x1b[2Jb\0\u202e",
        )
    )
    found = mail_thread.read(path)
    assert (
        found.author == "Eve Bcc: v@example.org [2J"
    )  # the encoded word holds a line break and ESC
    assert [p.address for p in found.others] == ["a@example.org"]
    assert len(found.left_out) == 3
    assert found.subject == "Re: re: a X: b"
    assert found.references == ("1@x", "2@x")
    assert found.date is None
    assert found.lines == ("a?[2Jb??",)
    assert mail_message.reply(found, JANE, datetime.now(UTC)).subject == "Re: a X: b"
