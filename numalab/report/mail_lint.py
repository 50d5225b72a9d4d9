"""What a kernel mailing list would not like in a text or a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message

from numalab.report.mail_headers import WIDTH, cleaned, message_ids, unsafe, words

MAX_BYTES = 100_000
_MOST_PARTS = 50
_SAID = ("simulated", "recorded on ")
_TAG = re.compile(r"</?(?:html|head|body|div|span|table|tr|td|th|br|font|p|pre)\b[^<>]*>", re.I)
_KNOWN = re.compile(
    rb"(?i)(?:from|to|cc|subject|date|message-id|in-reply-to|references|mime-version|content-type"
    rb"|content-transfer-encoding|received|return-path|reply-to|sender|list-id)[ \t]*:|From "
)
"""How a message begins, other than a text, of which ``simulated:`` may be the first word."""
_ONCE = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References")
_NEEDED = ("From", "To", "Subject", "Date", "Message-ID")


def findings(data: bytes) -> list[str]:
    """Return what is wrong with a message, with its headers, or with a text; in its order.

    Examples
    --------
    >>> findings(b"simulated: yes\\n" + 76 * b"-" + b"\\n")
    ['line 2: 76 columns: at most 75']
    """
    if data.count(b"\r\n") == data.count(b"\n"):
        data = data.replace(b"\r\n", b"\n")
    found = []
    if len(data) > MAX_BYTES:
        found.append(f"{len(data)} bytes: at most {MAX_BYTES}")
    if not _KNOWN.match(data):
        found += _text(data, 1, quotes=False)
    elif len(re.findall(rb"(?im)^content-type:", data)) > _MOST_PARTS:
        found.append(f"more than {_MOST_PARTS} parts")
    else:
        head, _, _ = data.partition(b"\n\n")
        found += _headers(head)
        found += _parts(data, head.count(b"\n") + 3)
    return [cleaned(line) for line in found]


def own_lines(lines: list[str]) -> list[bool]:
    """Say of each line whether the writer wrote it: not what is quoted, nor the line above that."""
    own = [not line.startswith(">") for line in lines]
    for i in range(1, len(lines)):
        if not own[i] and own[i - 1]:
            own[i - 1] = not lines[i - 1].endswith(":")
            if not own[i - 1] and i > 1 and lines[i - 2].startswith("On "):
                own[i - 2] = False
    return own


def of_lines(lines: list[str], first: int, quotes: bool) -> Iterator[str]:
    """Say what is wrong with lines; quoted ones may be wider and, with ``quotes``, not ASCII."""
    for i, (line, own) in enumerate(zip(lines, own_lines(lines), strict=True), first):
        if any(unsafe(c) and c != "\t" for c in line):
            yield f"line {i}: holds a control character: printable ASCII only"
        elif not line.isascii() and (own or not quotes):
            yield f"line {i}: holds a character that is not ASCII"
        if own and "\t" in line:
            yield f"line {i}: holds a tab: ASCII and blanks only"
        if len(line) > (WIDTH if own else 998):
            yield f"line {i}: {len(line)} columns: at most {WIDTH if own else 998}"
        if own and (tag := _TAG.search(line)):
            yield f"line {i}: HTML, {tag[0][:20]}: plain text only"


def _text(data: bytes, first: int, quotes: bool) -> Iterator[str]:
    """Say what is wrong with a text, whose first line has this number."""
    for i, line in enumerate(data.split(b"\n"), first):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            yield f"line {i}: byte {line[error.start]:#04x} is neither ASCII nor UTF-8"
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    yield from of_lines(lines, first, quotes)
    mine = [line for line, own in zip(lines, own_lines(lines), strict=True) if own]
    if not any(word in line for line in mine for word in _SAID):
        yield f'says neither "{_SAID[0]}" nor "{_SAID[1]}KERNEL"'


def _headers(head: bytes) -> Iterator[str]:
    """Say what is wrong with a block of headers."""
    for i, raw in enumerate(head.split(b"\n"), 1):
        line = raw.decode("latin-1")
        if not line.isascii():
            yield f"line {i}: a header holds a byte that is not ASCII"
        elif not line.replace("\t", " ").isprintable():
            yield f"line {i}: a header holds a control character"
        if len(line) > 998:
            yield f"line {i}: a header of {len(line)} columns: at most 998"
    message = message_from_bytes(head + b"\n\n")
    names = [name.lower() for name in message]
    yield from (f"header {name}: missing" for name in _NEEDED if name.lower() not in names)
    yield from (f"header {name}: more than one" for name in _ONCE if names.count(name.lower()) > 1)
    for name in ("Message-ID", "In-Reply-To", "References"):
        text = str(message.get(name, ""))
        if len(message_ids(text)) != len(set(text.split())):
            yield f"header {name}: holds what is no message id"
    for name, value in message.items():
        if "=?" in str(value) and any(unsafe(c) and c != "\t" for c in words(str(value))):
            yield f"header {name[:40]}: an encoded word holds a control character or a line break"


def _parts(data: bytes, first: int) -> Iterator[str]:
    """Say what is wrong with the parts of a message; of the first, with its text."""
    leaves: list[Message] = []
    for part in message_from_bytes(data).walk():
        kind = part.get_content_type()
        if kind == "multipart/alternative":
            yield "multipart/alternative: plain text only"
        if not part.is_multipart():
            leaves.append(part)
    for i, part in enumerate(leaves):
        kind = part.get_content_type()
        if kind == "text/html":
            yield "a part is HTML: plain text only"
        elif kind != "text/plain":
            if i == 0:
                yield f"begins with {kind[:40]}: the text comes first"
            elif part.get_content_disposition() != "attachment":
                yield f"a part is {kind[:40]}: must be an attachment"
        else:
            yield from _plain(part, first if i == 0 and len(leaves) == 1 else 1, i == 0)


def _plain(part: Message, first: int, is_body: bool) -> Iterator[str]:
    charset = part.get_content_charset("us-ascii")
    if charset not in ("us-ascii", "utf-8"):
        yield f"charset {charset[:40]}: must be us-ascii or utf-8"
    if str(part.get_param("format", "")).lower() == "flowed":
        yield "format=flowed: lines are wrapped again, tables break"
    coding = str(part.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    if coding not in ("7bit", "8bit", "quoted-printable"):
        yield f"Content-Transfer-Encoding: {coding[:40]}: must be 7bit or 8bit"
    payload = part.get_payload(decode=True)
    if is_body:
        body = payload if isinstance(payload, bytes) else b""
        yield from _text(body, first, charset == "utf-8")
