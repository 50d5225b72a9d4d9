"""Hostile subjects, ids, names and threads, for as long as one likes.

``python -m tests.fuzz.mail --minutes 5``: prints how many inputs there were, and ends with 1 at
the first one that puts a header into a message that was not asked for, raises anything but one
line, takes longer than 5 s of CPU time, or makes two messages of the same input differ.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

from numalab.fields import InputError
from numalab.report import mail_headers, mail_lint, mail_message, mail_thread

BODY = "simulated: does it scan?\n\nyes\n\nreproduce: numalab report q99\n"
DATE = datetime(2026, 3, 1, tzinfo=UTC)
ALWAYS = {"Content-Type", "MIME-Version", "From", "To", "Subject", "Date", "Message-ID"}
MAY = {"Content-Transfer-Encoding", "Cc", "In-Reply-To", "References"}
LIMIT_S = 5.0
_PIECES = [
    "\n", "\r", "\r\n", "\n ", "\n\t", "\0", "\x1b[2J", "\x85", "\u2028", "\u202e", "\ufeff", "\t",
    "=?utf-8?q?=0ABcc:_v@example.org?=", "=?utf-8?b?CkJjYzogdkBleGFtcGxlLm9yZw==?=", "=?", "?=",
    "=?utf-7?q?+AAo-Bcc?=", "=?x?q?a?=", "=?utf-8?b?===?=", "=?\xfc?q?a?=", "=?idna?q?xn--a?=",
    "Bcc: victim@example.org", "\nBcc: victim@example.org", "\n\nFrom x\nBcc: v@example.org\n\n",
    "<", ">", "@", ",", ";", ":", '"', "\\", "(", ")", "[", "]", "a@b.c", "<a@b.c>", "<a@b>", "x",
    "Jörg", "\u4e2d\u6587", "\U0001f427", "\udc80", "Re: ", "From ", ">From ", "group: a@b.c;", " ",
    "<a@b><c@d>", "<@>", "undisclosed-recipients:;", "name <a@b.c>", '"q, n" <q@n.org>', "é" * 40,
]  # fmt: skip
_HEADERS = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "References", "In-Reply-To",
            "Reply-To", "Content-Type", "Content-Transfer-Encoding", "X"]  # fmt: skip
_VALUES = ["text/plain; charset=utf-8", "text/html", "multipart/mixed; boundary=x", "--x", "base64",
           "text/plain; charset=punycode", "message/rfc822", "quoted-printable", "uuencode",
           "Tue, 3 Mar 2026 10:00:00 +0100", "Tue, 99 Mar 99999 99:99 +9999", "0"]  # fmt: skip


def hostile(rng: random.Random, most: int = 8) -> str:
    """Return a text of pieces that mean something in a header, and of any characters."""
    pieces = [
        rng.choice(_PIECES) if rng.random() < 0.8 else chr(rng.randrange(1, 0xD7FF))
        for _ in range(rng.randrange(most))
    ]
    text = "".join(pieces) * rng.choice([1, 1, 1, 1, 2, 30])
    return text if rng.random() < 0.5 else "".join(filter(str.isprintable, text))


def thread(rng: random.Random) -> bytes:
    """Return an mbox of a few messages with headers in any state, at times very many."""
    out = []
    for _ in range(rng.randrange(1, 4)):
        lines = ["From mboxrd@z Thu Jan  1 00:00:00 1970"]
        lines += ["Message-ID: <m@example.org>"] * (rng.random() < 0.9)
        lines += ["From: A <a@example.org>"] * (rng.random() < 0.7)
        lines += ["Subject: s"] * (rng.random() < 0.3)
        for _ in range(rng.randrange(8)):
            value = rng.choice(_VALUES) if rng.random() < 0.3 else hostile(rng)
            many = rng.choice([1] * 40 + [300])
            lines.append(f"{rng.choice(_HEADERS)}: {', '.join([value] * many)}")
        lines += ["", *(hostile(rng) for _ in range(rng.randrange(4))), ""]
        out.append("\n".join(lines))
    data = "\n".join(out).encode("utf-8", "surrogateescape" if rng.random() < 0.5 else "replace")
    if rng.random() < 0.2:
        place = rng.randrange(len(data))
        data = data[:place] + rng.randbytes(rng.randrange(1, 9)) + data[place:]
    return data


def check(subject: str, sender: str, to: str, ident: str, parent: mail_thread.Parent | None) -> str:
    """Write one message, and read it as two readers would; return what became of it.

    Raises
    ------
    AssertionError
        If it is not what was asked for.
    """
    try:
        who = mail_headers.person(sender, "--from")
        if parent is None:
            parent = mail_thread.Parent(message_id=mail_headers.message_id(ident))
            body = BODY
        else:
            body = (mail_message.quoted(parent, "1-2") if len(parent.lines) > 1 else "") + BODY
        envelope = mail_message.reply(parent, who, DATE)
        if subject:
            envelope = mail_message.Envelope(
                sender=who, to=envelope.to, cc=envelope.cc, subject=subject, date=DATE,
                references=envelope.references,
            )  # fmt: skip
        if to:
            envelope = mail_message.addressed(envelope, (mail_headers.person(to, "--to"),), ())
        figures = {"fig_x.png": b"\x89PNG\r\n\x1a\n"} if len(subject) % 2 else {}
        data = mail_message.write(body, envelope, figures)
        assert data == mail_message.write(body, envelope, figures), "two runs differ"
    except InputError as error:
        assert "\n" not in str(error) and str(error).isprintable(), f"not one line: {error!r}"
        return "refused"
    _read(data, parent.message_id)
    return "written"


def _read(data: bytes, ident: str) -> None:
    """Hold what two readers find against what was asked for."""
    head = data.partition(b"\n\n")[0]
    assert head.isascii() and b"\r" not in head and b"\0" not in head and b"\x1b" not in head
    assert max(map(len, head.split(b"\n"))) <= 998, "a header line longer than 998"
    plain, modern = message_from_bytes(data), message_from_bytes(data, policy=policy.default)
    for found in (plain, modern):
        names = [*found.keys()]
        assert max(Counter(names).values()) == 1, f"twice: {names}"
        assert set(names) >= ALWAYS and set(names) <= ALWAYS | MAY, f"headers: {names}"
    assert plain["In-Reply-To"].strip() == f"<{ident}>"
    assert plain["References"].split()[-1] == f"<{ident}>"
    for name in ("From", "To", "Cc", "Subject"):
        shown = mail_headers.words(str(plain.get(name, "")).replace("\n", ""))
        assert not any(map(mail_headers.unsafe, shown)), f"{name}: {shown!r}"
        assert "=?" not in shown, f"{name} decodes to an encoded word: {shown!r}"
    assert not modern["From"].defects and len(modern["From"].addresses) == 1
    text = modern.get_body(("plain",)).get_content()
    assert text.endswith(BODY), "the text does not end with the report"
    said = [line for line in mail_lint.findings(data) if "characters" not in line]
    assert not [line for line in said if line.startswith("header")], said


def once(rng: random.Random, folder: Path) -> str:
    """Make one input of any kind, and check it."""
    who, to = "Jörg <me@example.org>", "list@example.org"
    subject, ident = "Re: numa", "a@example.org"
    kind = rng.choice(["subject", "id", "name", "address", "thread", "lint"])
    if kind == "lint":
        found = mail_lint.findings(thread(rng)[: rng.choice([50, 5000, 10**6])])
        assert all(line.isprintable() for line in found), found
        return "lint"
    if kind == "thread":
        path = folder / "thread.mbox"
        path.write_bytes(thread(rng))
        try:
            parent = mail_thread.read(path)
        except InputError as error:
            assert str(error).isprintable(), f"not one line: {error!r}"
            return "thread refused"
        return "thread " + check("" if rng.random() < 0.7 else subject, who, to, "", parent)
    if kind == "subject":
        subject = hostile(rng)
    elif kind == "id":
        ident = hostile(rng) if rng.random() < 0.8 else f"https://lore.kernel.org/{hostile(rng)}"
    elif kind == "name":
        who = f"{hostile(rng)} <me@example.org>"
    else:
        to = hostile(rng)
    return f"{kind} {check(subject, who, to, ident, None)}"


def search(seconds: float, seed: int, most: int = 10**9) -> Counter[str]:
    """Try inputs until the time or their number is over; return what became of them."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end and seen.total() < most:
            begin = time.process_time()
            try:
                seen[once(rng, Path(folder))] += 1
                took = time.process_time() - begin
                assert took < LIMIT_S, f"took {took:.1f} s"
            except Exception as error:
                print(f"input {seen.total()} of seed {seed}: {type(error).__name__}: {error!r}")
                raise
    return seen


def main() -> int:
    """Run the search of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    given = parser.parse_args()
    seen = search(60 * given.minutes, given.seed)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{seen.total()} inputs of seed {given.seed}, no finding, {memory} MB:")
    for kind, count in sorted(seen.items()):
        print(f"  {count:8} {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
