"""The lint: one line for each thing that a list would not like."""

import pytest

from numalab.report.mail_lint import findings

GOOD = b"simulated: yes\n\n  a  b\n  1  2\n"
HEAD = (
    b"From: a@b.c\nTo: d@e.f\nSubject: s\nDate: Tue, 3 Mar 2026 10:00:00 +0100\nMessage-ID: <a@b>\n"
)


NEEDED = ("To", "Subject", "Date", "Message-ID")
MIXED = b'Content-Type: multipart/mixed; boundary="x"\n'


def _message(more=b"", body=GOOD, head=HEAD):
    return head + more + b"\n" + body


def test_what_a_list_takes_passes():
    for data in (
        GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        _message(),
        GOOD.replace(b"simulated: y", b"It was recorded on 6.12"),
    ):
        assert findings(data) == []


def test_quoted_lines_may_be_wide_and_of_others():
    body = b"On Monday, J\xc3\xbcrgen wrote:\n> \t" + "ü".encode() * 80 + b"\n\n" + GOOD
    assert findings(_message(b"Content-Type: text/plain; charset=utf-8\n", body)) == []
    said = findings(_message(b"Content-Type: text/plain; charset=us-ascii\n", body))
    assert said == [f"line {i}: holds a character that is not ASCII" for i in (8, 9)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (GOOD + b"\xfcber\n", ["line 5: byte 0xfc is neither ASCII nor UTF-8", "line 5: holds"]),
        (GOOD + "5 µs\n".encode(), ["line 5: holds a character that is not ASCII"]),
        (GOOD + b"x" * 76, ["line 5: 76 columns: at most 75"]),
        (GOOD + b"a\tb\n", ["line 5: holds a tab"]),
        (GOOD + b"a<br>b\n", ["line 5: HTML, <br>"]),
        *(
            (GOOD + f"a{c}b\n".encode(), ["line 5: holds a control character"])
            for c in "\0\x1b\r\v\f\x85\u2028\u202e"
        ),
        (b"yes\n", ["says neither"]),
        (b"> simulated\n", ["says neither"]),
        (b"simulated\n" * 10_001, ["100010 bytes: at most 100000"]),
        (_message(head=b"From: a@b.c\n"), [f"header {n}: missing" for n in NEEDED]),
        (_message(b"Subject: t\n"), ["header Subject: more than one"]),
        (_message(b"In-Reply-To: https://x/a@b/\n"), ["header In-Reply-To: holds what is no"]),
        (_message(b"Cc: J\xc3\xb6rg <a@b.c>\n"), ["line 6: a header holds a byte"]),
        (_message(b"X: \x1b\n"), ["line 6: a header holds a control character"]),
        (_message(b"X: " + b"x" * 998 + b"\n"), ["line 6: a header of 1001 columns"]),
        (_message(b"X: =?utf-8?q?a=0ABcc:_b?=\n"), ["header X: an encoded word holds a control"]),
        (_message(b"Content-Type: text/html\n"), ["a part is HTML"]),
        (_message(b"Content-Type: text/plain; format=flowed\n"), ["format=flowed"]),
        (_message(b"Content-Type: text/plain; charset=latin-1\n"), ["charset latin-1"]),
        (_message(b"Content-Transfer-Encoding: base64\n", b"c2ltdWxhdGVk\n"), ["Content-Tr"]),
        (_message(b"Content-Type: image/png\n"), ["begins with image/png"]),
        (
            _message(
                b'Content-Type: multipart/alternative; boundary="x"\n',
                b"--x\n\n" + GOOD + b"\n--x\nContent-Type: text/html\n\n<p>\n--x--\n",
            ),
            ["multipart/alternative", "a part is HTML"],
        ),
        (
            _message(
                b'Content-Type: multipart/mixed; boundary="x"\n',
                b"--x\n\n" + GOOD + b"\n--x\nContent-Type: image/png\n\nx\n--x--\n",
            ),
            ["a part is image/png: must be an attachment"],
        ),
        (_message(MIXED, (b"--x\n" + MIXED + b"\n") * 60), ["more than 50 parts"]),
    ],
)  # fmt: skip
def test_each_thing_is_one_line(data, said):
    found = findings(data)
    assert len(found) == len(said), found
    assert all(line.startswith(begin) for line, begin in zip(found, said, strict=True)), found
