"""Writing a file: all of it or nothing, and never half of it. Reading a text that has an end.

A full disk, a folder that cannot be written and Ctrl-C leave what was there before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from numalab.fields import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_TEXT = 4_000_000
"""Bytes of a text file that is read; a reader of TOML takes a second for each million."""
PART = r"\.[0-9a-f]{16}\.part"
"""How the name of a half-written file ends, as a regular expression; it begins with a dot."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside ``path`` to write to, which becomes ``path`` when all is written.

    Parameters
    ----------
    path : Path
        The file to write or to replace. Its folder must exist.

    Yields
    ------
    Path
        An empty file in the same folder. After an error it is removed, and ``path`` is as before.

    Raises
    ------
    InputError
        The file cannot be written: no space, no permission, no such folder.
    """
    part = _part(path)
    try:
        try:
            # the rights of any new file; what the umask is could only be had by changing it
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file through :func:`replacing`; text is UTF-8."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(path: Path) -> None:
    """Make the folder of a file, and see whether :func:`replacing` can make a file beside it.

    Raises
    ------
    InputError
        The file cannot be written: no permission, no such folder.
    """
    probe = _part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def read_text(path: Path) -> str:
    """Read a text file that may come from a stranger.

    Raises
    ------
    InputError
        The file cannot be read, is no UTF-8 text, or has more than :data:`MOST_TEXT` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_TEXT + 1)  # a device may have no end
        text = data.decode() if len(data) <= MOST_TEXT else ""
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: cannot be read: not UTF-8 text") from None
    except ValueError as error:  # a path that holds a NUL
        raise InputError(f"{path}: cannot be read: {error}") from None
    if len(data) > MOST_TEXT:
        raise InputError(f"{path}: cannot be read: more than {MOST_TEXT} bytes")
    return text


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
