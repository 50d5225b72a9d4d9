"""Files of a recording, which may come from a stranger: regular, not large, as they were sealed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numalab.fields import InputError

MAX_TEXT_BYTES = 1 << 18
"""Of a manifest, a workload or a calibration: the largest known has 9 kB."""
MAX_LOG_BYTES = 1 << 24
"""Of a run log, packed or not: the largest known has 0.6 MB."""
_MAX_DOTS = 32
"""In a line of TOML: tomllib takes time and memory by the square of the parts of a key."""
_REMEDY = "restore it or record again"


def read(path: Path, at_most: int = MAX_TEXT_BYTES, sha256: str = "") -> bytes:
    """Return the content of a regular file; wait for nothing, and follow no link.

    Parameters
    ----------
    path : Path
    at_most : int
        Bytes that it may have.
    sha256 : str, optional
        What its content must hash to.

    Raises
    ------
    InputError
        One line: the file, what it is, and the bound or the remedy.
    """
    if path.is_symlink():
        raise InputError(f"{path}: is a symbolic link: put the file itself into the folder")
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(at_most + 1) if stat.S_ISREG(about.st_mode) else None
    except IsADirectoryError:
        data = None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {_REMEDY}") from None
    if data is None:
        raise InputError(f"{path}: not a regular file; {_REMEDY}")
    if len(data) > at_most:
        raise InputError(f"{path}: has {about.st_size} bytes: must be at most {at_most}")
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"{path}: altered or truncated (SHA-256 is not that of the manifest); {_REMEDY}"
        )
    return data


def unpacked(path: Path, data: bytes) -> bytes:
    """Unpack the gzip of a run log; no more of it than a log may have.

    Raises
    ------
    InputError
        If it is no gzip file, cut, damaged, or larger than MAX_LOG_BYTES.
    """
    gzip = zlib.decompressobj(wbits=31)
    try:
        text = gzip.decompress(data, MAX_LOG_BYTES + 1)
    except zlib.error:
        raise InputError(f"{path}: not gzip, or damaged; record it again") from None
    if len(text) > MAX_LOG_BYTES:
        raise InputError(
            f"{path}: unpacks to more than {MAX_LOG_BYTES} bytes, the most that a run log may have"
        )
    if not gzip.eof or gzip.unused_data:
        what = "followed by something else" if gzip.eof else "truncated"
        raise InputError(f"{path}: the gzip file is {what}; record it again")
    return text


def toml(path: Path, data: bytes) -> dict[str, Any]:
    """Read TOML.

    Raises
    ------
    InputError
        One line: the file, and what is wrong.
    """
    if data and max(line.count(b".") for line in data.splitlines()) > _MAX_DOTS:
        raise InputError(f"{path}: a line holds more than {_MAX_DOTS} dots")
    return dict(_parsed(path, data, "TOML", tomllib.loads))


def json_table(path: Path, data: bytes) -> dict[str, Any]:
    """Read JSON that must be a table.

    Raises
    ------
    InputError
        One line: the file, and what is wrong.
    """
    found = _parsed(path, data, "JSON", json.loads)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must be a table, {{...}}; {_REMEDY}")
    return found


def _parsed(path: Path, data: bytes, kind: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(data.decode())
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; {_REMEDY}") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not {kind}: {str(error)[:100]}") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists are nested too deeply") from None
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise InputError(f"{path}: holds a number of more than {digits} digits") from None
