"""Text for a kernel mailing list: ASCII, 75 columns, what it is first, how to repeat it last."""

from __future__ import annotations

import re
import textwrap
from email.header import Header
from email.mime.text import MIMEText
from pathlib import Path

from numalab.fields import InputError

WIDTH = 75
MAX_BYTES = 100_000
_ATOMS = r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*"
_MESSAGE_ID = re.compile(rf"<?({_ATOMS}@(?:{_ATOMS}|\[[!-Z^-~]*\]))>?", re.ASCII)
"""RFC 5322, msg-id: atoms with dots on both sides, or an address literal on the right."""
_ENCODED = "=?"
"""Begins an encoded word (RFC 2047), in which a reader may see a line break."""


def reproduce(command: str, code: str) -> str:
    r"""Return the last line of a mail: a command for a shell, and the code it was run with.

    A command that is too long goes on in further lines, so that it can still be pasted.

    Examples
    --------
    >>> print(reproduce("numalab report q02 --quick", "numalab 0.1.0, model 12ab"))
    reproduce: numalab report q02 --quick  # numalab 0.1.0, model 12ab
    >>> print(reproduce("numalab report q02 --param 'delays_ms=[0, 1000]' --param tasks=8",
    ...                 "numalab 0.1.0, model 12ab"))
    reproduce: numalab report q02 --param 'delays_ms=[0, 1000]' \
        --param tasks=8  # numalab 0.1.0, model 12ab
    """
    first, *options = command.split(" --param ")
    lines = [f"reproduce: {first}"]
    for option in options:
        if len(lines[-1].rpartition("\n")[2]) + len(f" --param {option} \\") <= WIDTH:
            lines[-1] += f" --param {option}"
        else:
            lines.append("    " + _broken(f"--param {option}"))
    text = " \\\n".join(lines)
    fits = len(text.rpartition("\n")[2]) + len(f"  # {code}") <= WIDTH
    return f"{text}{'  ' if fits else chr(10)}# {code}"


def _broken(option: str) -> str:
    """Break a long list at its commas: a line break between brackets means nothing."""
    if "=[" not in option:
        return option
    return "\n      ".join(
        textwrap.wrap(option, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    )


def indent(table: str) -> str:
    """Set a table off by two columns, if it leaves room for them."""
    fits = all(len(line) <= WIDTH - 2 for line in table.splitlines())
    return textwrap.indent(table, "  ") if fits else table


def lint(body: str) -> None:
    """Check a body against the lists' rules.

    Raises
    ------
    InputError
        Naming the line and the rule.
    """
    if not body.startswith(("simulated", "recorded on ")):
        raise InputError('mail: must begin with "simulated" or "recorded on KERNEL"')
    *_, end = body.rstrip().split("\n\n")
    last = body.rstrip().count("\n") - end.count("\n") + 1
    for i, line in enumerate(body.rstrip("\n").split("\n"), 1):
        if len(line) > WIDTH and i < last:
            raise InputError(f"mail: line {i} has {len(line)} columns: at most {WIDTH}")
        if not line.isascii() or "\t" in line or not line.isprintable():
            raise InputError(f"mail: line {i} holds a character that is not printable ASCII")
    if not end.startswith("reproduce: "):
        raise InputError("mail: the last line must say how to reproduce it")
    if len(body) > MAX_BYTES:
        raise InputError(f"mail: {len(body)} bytes: at most {MAX_BYTES}")


def of_report(question: str, out: Path) -> str:
    """Return the text of a question's report, checked.

    Raises
    ------
    InputError
        If there is no such report, or its text breaks a rule.
    """
    if not re.fullmatch(r"\w+", question):
        raise InputError(f"question = {question!r}: must be a name such as q02")
    found = sorted(out.glob(f"{question}_*/mail.txt"))
    if not found:
        raise InputError(
            f"no report of {question!r} in {out}: run 'numalab report {question} --out {out}'"
        )
    body = found[0].read_text(encoding="utf-8")
    lint(body)
    return body


def message(body: str, *, subject: str, in_reply_to: str = "") -> MIMEText:
    """Wrap a body as a text/plain message, as a reply if a message id is given.

    A subject that is not ASCII becomes encoded words; a message id is never broken or encoded.

    Raises
    ------
    InputError
        If the body breaks a rule, the subject is not one printable line or holds an encoded word,
        or the message id is malformed.
    """
    lint(body)
    if not subject.isprintable() or _ENCODED in subject:
        raise InputError(f"mail: subject {subject!r}: must be one line without {_ENCODED!r}")
    mail = MIMEText(body, "plain", "us-ascii")
    charset = "us-ascii" if subject.isascii() else "utf-8"
    mail["Subject"] = Header(subject, charset, header_name="Subject")  # type: ignore[assignment]
    if in_reply_to:
        ident = _MESSAGE_ID.fullmatch(in_reply_to)
        if not ident or _ENCODED in in_reply_to:
            raise InputError(f"in_reply_to = {in_reply_to!r}: must be a message id, local@domain")
        mail["In-Reply-To"] = mail["References"] = f"<{ident[1]}>"
    return mail
