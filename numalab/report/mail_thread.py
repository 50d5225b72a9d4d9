"""The thread that a mail answers: an mbox as public-inbox gives it, from a stranger."""

from __future__ import annotations

import gzip
import mailbox
import re
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from numalab.fields import InputError
from numalab.report import mail_headers as headers

MOST_BYTES = 20_000_000
MOST_MESSAGES = 2_000
MOST_HEADER = 100_000
"""Bytes of the headers of one message."""
_MOST_PARTS = 50
_CHARSET = re.compile(
    r"us-ascii|utf-8|iso-8859-\d+|windows-125\d|koi8-[ru]|gb\w+|big5|euc-\w+|shift_jis|iso-2022-jp"
)
"""Those that people write in, all decoded in linear time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The message that is replied to; all texts are cleaned."""

    message_id: str
    references: tuple[str, ...] = ()
    """Message ids of the thread down to this message, without it."""
    subject: str = ""
    sender: tuple[headers.Person, ...] = ()
    """Who gets the reply: Reply-To, or else From."""
    others: tuple[headers.Person, ...] = ()
    """To and Cc."""
    author: str = ""
    date: datetime | None = None
    lines: tuple[str, ...] = ()
    """Of its text."""
    left_out: tuple[str, ...] = ()
    """What stood in an address header and is no address."""


def read(path: Path, wanted: str = "") -> Parent:
    """Return the message of an mbox to reply to.

    Parameters
    ----------
    path : Path
        mbox, perhaps compressed with gzip, or one message.
    wanted : str
        Its message id, without angle brackets; empty: the one with the last date.

    Raises
    ------
    InputError
        If the file is no mbox, is larger than :data:`MOST_BYTES`, holds more than
        :data:`MOST_MESSAGES`, or has no such message.
    """
    found: list[tuple[datetime, int, bytes]] = []
    for i, data in enumerate(_messages(path, _bytes(path))):
        head = _head(path, data)
        ids = headers.message_ids(_first(head, "Message-ID"))
        if ids and wanted in ("", ids[0]):
            found.append((_date(head) or datetime.min.replace(tzinfo=UTC), i, data))
    if not found:
        what = f"message <{wanted}>" if wanted else "message with a message id"
        raise InputError(f"{path}: holds no {what}")
    return _parent(path, max(found)[2])


def _bytes(path: Path) -> bytes:
    """Read a regular file, and decompress it, up to the limit."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if data.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                data = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES // 1_000_000} MB: cut the thread")
    return data


def _messages(path: Path, data: bytes) -> list[bytes]:
    """Split an mbox; the copy that is opened is ours, so that the file is never written."""
    count = data.count(b"\nFrom ") + 1
    if count > MOST_MESSAGES:
        raise InputError(f"{path}: {count} messages: at most {MOST_MESSAGES}: cut the thread")
    if not data.startswith(b"From "):
        return [data]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "mbox"
        copy.write_bytes(data)
        box = mailbox.mbox(copy, create=False)
        try:
            return [box.get_bytes(key) for key in box.iterkeys()]
        finally:
            box.close()


def _head(path: Path, data: bytes) -> Message:
    end = re.search(rb"\r?\n\r?\n", data)
    block = data[: end.end()] if end else data
    if len(block) > MOST_HEADER:
        raise InputError(f"{path}: headers of {len(block)} bytes: at most {MOST_HEADER}")
    return BytesHeaderParser().parsebytes(block)


def _all(head: Message, name: str) -> list[str]:
    """Return the raw values of a header, one line each; bytes of no known charset as Latin-1."""
    found = []
    for known, value in head.raw_items():
        if known.lower() == name.lower():
            data = str(value).encode("utf-8", "surrogateescape")
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                text = data.decode("latin-1")
            found.append(" ".join(text.split()))
    return found


def _first(head: Message, name: str) -> str:
    return next(iter(_all(head, name)), "")


def _date(head: Message) -> datetime | None:
    try:
        found = parsedate_to_datetime(_first(head, "Date")[:100])
        known = found if found.tzinfo else found.replace(tzinfo=UTC)
        known.astimezone(UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return known


def _parent(path: Path, data: bytes) -> Parent:
    head = _head(path, data)
    chain = headers.message_ids(_first(head, "References"))
    before = chain or headers.message_ids(_first(head, "In-Reply-To"))[:1]
    ident = headers.message_ids(_first(head, "Message-ID"))[0]
    author, bad_author = headers.people(_all(head, "From")[:1])
    asked, bad_asked = headers.people(_all(head, "Reply-To")[:1])
    others, bad = headers.people(_all(head, "To") + _all(head, "Cc"))
    return Parent(
        message_id=ident,
        references=tuple(one for one in before if one != ident),
        subject=headers.decoded(_first(head, "Subject")),
        sender=tuple(asked or author),
        others=tuple(others),
        author=(author[0].name or author[0].address) if author else "somebody",
        date=_date(head),
        lines=tuple(_lines(path, data)),
        left_out=tuple(bad_author + bad_asked + bad),
    )


def _lines(path: Path, data: bytes) -> list[str]:
    """Return the lines of the first plain text of a message; what controls a terminal is "?"."""
    if len(re.findall(rb"(?im)^content-type:", data)) > _MOST_PARTS:
        raise InputError(f"{path}: a message of more than {_MOST_PARTS} parts")
    for part in message_from_bytes(data).walk():
        if part.get_content_type() == "text/plain":
            return _decoded(part).split("\n")
    return []


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    known = charset if _CHARSET.fullmatch(charset) else "utf-8"
    raw = payload if isinstance(payload, bytes) else b""
    try:
        text = raw.decode(known, "replace")
    except LookupError:
        text = raw.decode("utf-8", "replace")
    text = text.replace("\r\n", "\n").rstrip("\n")
    text = re.sub(r"(?m)^>(?=>*From )", "", text)  # mboxrd escapes these lines
    return "".join("?" if headers.unsafe(c) and c not in "\t\n" else c for c in text)
