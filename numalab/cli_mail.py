"""The command ``mail``.

Heavy imports stand inside the functions, as in :mod:`numalab.cli`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from numalab.cli_output import say


def mail(
    question: Annotated[str, typer.Argument(help="q01, q02, ...")] = "",
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("reports"),
    subject: Annotated[str, typer.Option(help="of a message; of a reply: else the thread's")] = "",
    in_reply_to: Annotated[
        str, typer.Option(help="what to reply to: mbox of its thread, message id, or lore address")
    ] = "",
    message: Annotated[str, typer.Option(help="of the mbox, this one; else the last")] = "",
    quote: Annotated[str, typer.Option(help="FROM-TO: quote these lines of it")] = "",
    lines: Annotated[bool, typer.Option("--lines", help="print its lines, for --quote")] = False,
    sender: Annotated[str, typer.Option("--from", help="'Name <address>'; else git's")] = "",
    to: Annotated[list[str] | None, typer.Option(help="further recipient")] = None,
    cc: Annotated[list[str] | None, typer.Option(help="further recipient of a copy")] = None,
    date: Annotated[str, typer.Option(help="of the message; else the report's")] = "",
    attach: Annotated[bool, typer.Option("--attach", help="attach the main figure")] = False,
    figure: Annotated[list[str] | None, typer.Option(help="attach this figure")] = None,
    twin: Annotated[bool, typer.Option("--twin", help="the main figure as text, too")] = False,
    lint: Annotated[Path | None, typer.Option(help="check this message or text")] = None,
) -> None:
    """Print a question's report as text for a kernel mailing list, or as a whole message."""
    from numalab.fields import InputError
    from numalab.report import mail_reply
    from numalab.report.mail import folder_of

    asked = mail_reply.Asked(
        in_reply_to=in_reply_to, message=message, quote=quote, subject=subject, sender=sender,
        to=tuple(to or ()), cc=tuple(cc or ()), date=date,
        attach=attach or bool(figure), figures=tuple(figure or ()), twin=twin,
    )  # fmt: skip
    if lint is not None:
        _lint(lint)
        return
    if lines:
        for i, line in enumerate(mail_reply.lines_of(asked), 1):
            typer.echo(f"{i:4} {line}")
        return
    if not question:
        raise InputError("mail: of which question? give q01, q02, ..., or --lint FILE")
    folder, count = folder_of(question, out)
    if count > 1:
        say(f"of {folder}, the last of {count} reports of {question}")
    if replace(asked, twin=False) == mail_reply.Asked():
        typer.echo(mail_reply.text_of(folder, twin), nl=False)
    else:
        typer.echo(mail_reply.compose(folder, asked, say), nl=False)


def _lint(path: Path) -> None:
    """Print what a mailing list would not like in a file; exit with 1 if there is something."""
    from numalab.fields import InputError
    from numalab.report.mail_lint import findings

    try:
        if not path.is_file():
            raise InputError(f"--lint {path}: is not a regular file")
        with path.open("rb") as file:
            data = file.read(20_000_001)
    except OSError as error:
        raise InputError(f"--lint {path}: cannot be read: {error.strerror}") from None
    if len(data) > 20_000_000:
        raise InputError(f"--lint {path}: more than 20 MB: no mail")
    found = findings(data)
    for line in found:
        typer.echo(f"{path}: {line}")
    if found:
        raise typer.Exit(1)
