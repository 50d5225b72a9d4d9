"""Text for a kernel mailing list: ASCII, 75 columns, what it is first, how to repeat it last."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

from numalab.fields import InputError
from numalab.report.mail_headers import WIDTH
from numalab.report.mail_lint import MAX_BYTES, of_lines


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
    try:
        words = shlex.split(command)
    except ValueError:  # no command: what somebody says instead
        words = [command]
    lines = ["reproduce:"]
    for i, word in enumerate(words):
        if word == "--param":
            continue
        before = " --param " if i and words[i - 1] == "--param" else " "
        text = before + (shlex.quote(word) if len(words) > 1 else word)
        if len(lines[-1]) + len(text) <= WIDTH - 2:
            lines[-1] += text
            continue
        lines[-1] += " \\"
        *cut, last = _cut("   " + before, word)
        lines += [*cut, last]
    text = "\n".join(lines)
    fits = len(lines[-1]) + len(f"  # {code}") <= WIDTH
    return f"{text}{'  ' if fits else chr(10)}# {code}"


def _cut(before: str, word: str) -> list[str]:
    r"""Quote a word for a shell, over several lines if it must be.

    A backslash at the end of a line, and nothing at the beginning of the next one: the shell
    joins the pieces.
    """
    lines = []
    while True:
        end = len(word)
        while end > 1 and len(before + shlex.quote(word[:end])) > WIDTH - 2:
            end = max(word.rfind(" ", 1, end - 1) + 1, 0) or end - 1
        lines.append(before + shlex.quote(word[:end]) + "\\" * (end < len(word)))
        before, word = "", word[end:]
        if not word:
            return lines


def indent(table: str) -> str:
    """Set a table off by two columns, if it leaves room for them."""
    fits = all(len(line) <= WIDTH - 2 for line in table.splitlines())
    return textwrap.indent(table, "  ") if fits else table


def lint(body: str) -> None:
    """Check the text of a report against the lists' rules, and ours.

    Raises
    ------
    InputError
        Naming the line and the rule.
    """
    if not body.startswith(("simulated", "recorded on ")):
        raise InputError('mail: must begin with "simulated" or "recorded on KERNEL"')
    for finding in of_lines(body.removesuffix("\n").split("\n"), 1, quotes=False):
        raise InputError(f"mail: {finding}")
    if not body.rstrip().rpartition("\n\n")[2].startswith("reproduce: "):
        raise InputError("mail: the last line must say how to reproduce it")
    if len(body) > MAX_BYTES:
        raise InputError(f"mail: {len(body)} bytes: at most {MAX_BYTES}")


def folder_of(question: str, out: Path) -> tuple[Path, int]:
    """Return the folder of a question's last report, and how many reports there are.

    Parameters
    ----------
    question : str
    out : Path
        Folder of reports; those of a lab (``run``) and quick ones (``quick``) are in it.

    Raises
    ------
    InputError
        If there is none.
    """
    if not re.fullmatch(r"\w+", question, re.ASCII):
        raise InputError(f"question = {question!r}: must be a name such as q02")
    names = (f"{question}_*", f"run/{question}", f"quick/{question}_*")
    found = [path for name in names for path in sorted(out.glob(f"{name}/mail.txt"))]
    if not found:
        raise InputError(
            f"no report of {question!r} in {out}: run 'numalab report {question} --out {out}'"
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent, len(found)
