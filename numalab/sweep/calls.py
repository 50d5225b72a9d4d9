"""Functions of the user: called, named, and what they raise in one line."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from numalab.fields import InputError


class CallError(InputError):
    """What a function of the user raised: the exception, and where in his code."""


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, for messages."""
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function; return what it returns.

    Raises
    ------
    InputError
        As the function does.
    CallError
        For any other exception.
    """
    try:
        return function(*args, **kwargs)
    except InputError:
        raise
    except Exception as error:
        said = f": {error}" * bool(str(error))
        raise CallError(f"{type(error).__name__}{said}{_place(function, error)}") from None


def _place(function: Callable[..., Any], error: Exception) -> str:
    """Say where in the file of a function an exception came through last, not in a library."""
    inner = inspect.unwrap(getattr(function, "func", function))
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if code and frame.filename == code.co_filename]
    return f" (line {own[-1].lineno} of {own[-1].name})" if own else ""
