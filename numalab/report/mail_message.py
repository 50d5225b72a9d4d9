"""A whole message, RFC 5322: who, to whom, in reply to what, text and figures. Never sent."""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.generator import BytesGenerator
from email.message import Message
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime
from io import BytesIO

from numalab.fields import InputError
from numalab.report import mail_headers as headers
from numalab.report.mail_lint import MAX_BYTES
from numalab.report.mail_thread import Parent

_FILE_NAME = re.compile(r"[\w.-]{1,100}\.png", re.ASCII)
_AS_IT_IS = compat32.clone(max_line_length=None)
"""Lines are as :mod:`mail_headers` folds them: the generator's own folding encodes long ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What stands above the text of a message."""

    sender: headers.Person
    to: tuple[headers.Person, ...]
    cc: tuple[headers.Person, ...] = ()
    subject: str
    date: datetime
    references: tuple[str, ...] = ()
    """Message ids of the thread; the last is that of the message replied to."""


def reply(parent: Parent, sender: headers.Person, date: datetime) -> Envelope:
    """Return the envelope of a reply to all."""
    known = {sender.address.lower()}
    to = tuple(p for p in parent.sender if p.address.lower() not in known)
    known |= {p.address.lower() for p in to}
    others = tuple(p for p in parent.others if p.address.lower() not in known)
    subject = re.sub(r"(?i)^(?:re: *)+", "", parent.subject)
    return Envelope(
        sender=sender, to=to or others, cc=others if to else (), date=date,
        subject=f"Re: {subject}" if subject else "",
        references=(*parent.references, parent.message_id),
    )  # fmt: skip


def addressed(
    envelope: Envelope, to: tuple[headers.Person, ...], cc: tuple[headers.Person, ...]
) -> Envelope:
    """Add recipients; who is a recipient already is none twice."""
    known = {p.address.lower() for p in envelope.to}
    to = (*envelope.to, *(p for p in to if p.address.lower() not in known))
    known = {p.address.lower() for p in to}
    cc = tuple({p.address.lower(): p for p in (*envelope.cc, *cc)}.values())
    return replace(envelope, to=to, cc=tuple(p for p in cc if p.address.lower() not in known))


def quoted(parent: Parent, lines: str) -> str:
    """Return lines of the message replied to, attributed and quoted.

    Parameters
    ----------
    parent : Parent
    lines : str
        ``FROM-TO``, the first being 1.

    Raises
    ------
    InputError
        If there are no such lines.
    """
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", lines, re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= len(parent.lines):
        what = f"the message has lines 1 to {len(parent.lines)}" if parent.lines else (
            "the message has no text: give its thread as an mbox")  # fmt: skip
        raise InputError(f"--quote {lines[:40]}: must be FROM-TO; {what}")
    chosen = parent.lines[first - 1 : last]
    too_long = next((i for i, line in enumerate(chosen, first) if len(line.encode()) > 990), None)
    if too_long:
        raise InputError(f"--quote {lines}: line {too_long} has more than 990 bytes: leave it out")
    when = f"On {format_datetime(parent.date)}, " if parent.date else ""
    said = (f"> {line}" if line and not line.startswith(">") else f">{line}" for line in chosen)
    above = textwrap.fill(f"{when}{parent.author} wrote:", headers.WIDTH)
    return "\n".join((above, *said)) + "\n\n"


def write(body: str, envelope: Envelope, figures: Mapping[str, bytes]) -> bytes:
    """Return a message, with LF at the ends of lines, as files on Unix have it.

    The same input gives the same bytes: the message id is the hash of all of it.

    Parameters
    ----------
    body : str
        Checked text; after a quotation it may be UTF-8.
    envelope : Envelope
    figures : mapping
        File name to PNG.

    Raises
    ------
    InputError
        If somebody or something in a header is missing or malformed, or the message is larger
        than :data:`MAX_BYTES`.
    """
    if not envelope.to:
        raise InputError("mail: to whom? give --to ADDRESS, or its thread as an mbox")
    if len(envelope.to) + len(envelope.cc) > headers.MOST_PEOPLE:
        raise InputError(f"mail: more than {headers.MOST_PEOPLE} recipients")
    mail = _content(body, figures)
    mail["From"] = envelope.sender.header()
    for name, those in (("To", envelope.to), ("Cc", envelope.cc)):
        if those:
            mail[name] = headers.folded(name, [one.header() for one in those], ", ")
    mail["Subject"] = headers.subject(envelope.subject)
    mail["Date"] = format_datetime(envelope.date)
    if envelope.references:
        ids = [f"<{headers.message_id(one)}>" for one in envelope.references]
        mail["In-Reply-To"] = ids[-1]
        mail["References"] = headers.folded("References", ids, " ")
    content = hashlib.sha256(_bytes(mail)).hexdigest()[:24]
    domain = envelope.sender.address.rpartition("@")[2]
    mail["Message-ID"] = f"<{envelope.date:%Y%m%d%H%M%S}.{content}.numalab@{domain}>"
    data = _bytes(mail)
    if len(data) > MAX_BYTES:
        parts = ", ".join(f"{name} {len(png)} bytes" for name, png in figures.items())
        remedy = f"attach less ({parts}): the text has the plot" if parts else "quote less"
        raise InputError(f"mail: {len(data)} bytes encoded: at most {MAX_BYTES}: {remedy}")
    return data


def _content(body: str, figures: Mapping[str, bytes]) -> Message:
    """Return the text, or the text with its attachments; the headers come before."""
    charset, coding = ("us-ascii", "7bit") if body.isascii() else ("utf-8", "8bit")
    text = MIMENonMultipart("text", "plain", policy=_AS_IT_IS, charset=charset)
    text["Content-Transfer-Encoding"] = coding
    text.set_payload(body.encode().decode("ascii", "surrogateescape"))
    if not figures:
        return text
    hashed = hashlib.sha256(body.encode() + b"".join(figures.values())).hexdigest()
    whole = MIMEMultipart("mixed", boundary=f"numalab-{hashed[:32]}", policy=_AS_IT_IS)
    whole.attach(text)
    for name, png in figures.items():
        if not _FILE_NAME.fullmatch(name):
            raise InputError(f"mail: figure {name[:80]!r}: must be a plain name, NAME.png")
        part = MIMEImage(png, "png", policy=_AS_IT_IS)
        part.add_header("Content-Disposition", "attachment", filename=name)
        whole.attach(part)
    return whole


def _bytes(mail: Message) -> bytes:
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=_AS_IT_IS).flatten(mail)
    return out.getvalue()
