"""From a question's report and what the command line asks for to a message."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from numalab.fields import InputError
from numalab.report import folders, mail, mail_headers, mail_message, mail_thread
from numalab.report.mail_message import Envelope
from numalab.report.mail_thread import Parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks for; empty: as the thread, git and the report have it."""

    in_reply_to: str = ""
    """An mbox, a message id, or the address of a message in a list's archive."""
    message: str = ""
    """Of the mbox, the message to reply to, as id or address; empty: the last one."""
    quote: str = ""
    subject: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    date: str = ""
    attach: bool = False
    """Attach the main figure."""
    figures: tuple[str, ...] = ()
    """Attach these, ``NAME`` of ``fig_NAME.png``."""
    twin: bool = False
    """Show the main figure as text, too."""


def text_of(folder: Path, twin: bool) -> str:
    """Return the text of a question's report, checked; ``twin``: with its main figure as text.

    Raises
    ------
    InputError
        If its text breaks a rule, or there is no such figure.
    """
    mail.lint(body := (folder / "mail.txt").read_bytes().decode("utf-8", "replace"))
    if not twin:
        return body
    found = folders.read_finding(folder)
    figure = folder / Path(found.figure if found else "").with_suffix(".txt").name
    if not figure.is_file():
        raise InputError(f"--twin: {folder} holds no figure as text; run the report again")
    before, mark, after = body.rpartition("\nreproduce: ")
    shown = mail.indent(figure.read_bytes().decode("utf-8", "replace").rstrip())
    mail.lint(text := f"{before}\n{shown}\n{mark}{after}")
    return text


def parent_of(asked: Asked) -> Parent | None:
    """Return the message replied to; of an id alone nothing else is known.

    Raises
    ------
    InputError
        If there is no such file, message or id.
    """
    where = asked.in_reply_to
    if not where:
        if asked.message or asked.quote:
            option = "--message" if asked.message else "--quote"
            raise InputError(f"{option}: belongs to a reply: give --in-reply-to THREAD.mbox")
        return None
    wanted = mail_headers.message_id(asked.message) if asked.message else ""
    path = Path(where)
    if "\0" not in where and len(where) < 1000 and (path.exists() or "@" not in where):
        return mail_thread.read(path, wanted)
    if wanted:
        raise InputError(f"--message {asked.message[:80]}: belongs to an mbox: --in-reply-to FILE")
    return Parent(message_id=mail_headers.message_id(where))


def lines_of(asked: Asked) -> tuple[str, ...]:
    """Return the lines of the message replied to.

    Raises
    ------
    InputError
        If they are not known.
    """
    parent = parent_of(asked)
    if parent is None:
        raise InputError("--lines: belongs to a reply: give --in-reply-to THREAD.mbox")
    if not parent.author:
        raise InputError("--lines: of an id alone no lines are known: give the thread as an mbox")
    return parent.lines


def compose(folder: Path, asked: Asked, say: Callable[[str], None]) -> bytes:
    """Return the message about a report; say what it replies to, and what is left out.

    Raises
    ------
    InputError
        Naming what is missing or malformed.
    """
    body = text_of(folder, asked.twin)
    found = parent_of(asked)
    date = _date(folder, asked.date)
    sender = mail_headers.person(asked.sender, "--from") if asked.sender else _of_git()
    if found is None:
        envelope = Envelope(sender=sender, to=(), subject="", date=date)
    else:
        envelope = mail_message.reply(found, sender, date)
        if asked.quote:
            body = mail_message.quoted(found, asked.quote) + body
        _say_parent(found, say)
    if asked.subject:
        envelope = replace(envelope, subject=asked.subject)
    elif not envelope.subject:
        raise InputError("mail: no subject: give --subject")
    to = tuple(mail_headers.person(text, "--to") for text in asked.to)
    cc = tuple(mail_headers.person(text, "--cc") for text in asked.cc)
    envelope = mail_message.addressed(envelope, to, cc)
    return mail_message.write(body, envelope, _figures(folder, asked))


def _say_parent(parent: Parent, say: Callable[[str], None]) -> None:
    if not parent.author:
        say("References hold the parent alone, To and Cc are yours: an mbox has the thread's")
        return
    say(f"reply to {mail_headers.cleaned(parent.author)}: <{parent.message_id}> {parent.subject}")
    for text in parent.left_out:
        say(f"left out, no address: {text}")


def _of_git() -> mail_headers.Person:
    """Return who git says somebody is."""
    texts = []
    for key in ("user.name", "user.email"):
        try:
            done = subprocess.run(["git", "config", "--get", key], capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            break
        texts.append(done.stdout.decode("utf-8", "replace").strip())
    if len(texts) < 2 or not texts[1]:
        raise InputError(
            "mail: from whom? give --from 'Name <address>', or set git config user.email"
        )
    return replace(
        mail_headers.person(f"<{texts[1]}>", "git config user.email"),
        name=mail_headers.cleaned(texts[0])[:100],
    )


def _date(folder: Path, text: str) -> datetime:
    """Return the date of a message: the one that is given, or else that of the report."""
    if not text:
        return datetime.fromtimestamp(int((folder / "mail.txt").stat().st_mtime), UTC)
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            known = read(text)
            return known.replace(microsecond=0) if known.tzinfo else known.astimezone(UTC)
        except (ValueError, TypeError, OverflowError):
            continue
    raise InputError(f"--date {text[:80]!r}: must be as 2026-11-30T12:00+01:00")


def _figures(folder: Path, asked: Asked) -> dict[str, bytes]:
    """Return the figures to attach, by file name."""
    known = sorted(path.name for path in folder.glob("fig_*.png"))
    names = [f"fig_{name.removeprefix('fig_').removesuffix('.png')}.png" for name in asked.figures]
    if asked.attach and not names:
        main = folders.read_finding(folder)
        names = [main.figure] if main is not None and main.figure in known else known[:1]
        if not names:
            raise InputError(f"--attach: {folder} holds no figure")
    for name in names:
        if name not in known:
            shown = ", ".join(known) or "none"
            raise InputError(f"--figure {name[:80]!r}: no such figure; {folder} has: {shown}")
    return {name: (folder / name).read_bytes() for name in names}
