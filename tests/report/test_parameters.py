"""The parameters cell: what is not typed, explained and spelled right is refused in one line."""

import pytest

from numalab.fields import InputError
from numalab.report import parameters


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n = 3  # runs", "must be 'name: type = default  # help'"),
        ("n: int = 3", "has no help"),
        ("n: int = 3.5  # runs", "must be int"),
        ("n: int = True  # runs", "must be int"),
        ("n: list[int] = [1, 'x']  # runs", "must be list[int]"),
        ("n: dict = {}  # runs", "is not known"),
        ("n: list[int] = []  # runs", "n = []: must hold a value"),
        ("n: float = 9/10  # runs", "n = 9 / 10: must be a plain value"),
        ("n: int = = 3  # runs", "parameters cell: 'n: int = = 3  # runs': invalid syntax"),
        ("n: int = 3  # runs\nn: int = 4  # runs", "n is given twice"),
        ("n: int = 3  # runs; quick: many", "n = 'many': must be int"),
        ("n: int = 3  # ; quick: 2", "has no help"),
        ("n: int = 3  # runs; quick: 2; at least 1", "n = '2; at least 1': must be int"),
        ("n: str = 'a'  # name; quick: b; or none", "n: quick: b; or none: must be in quotes"),
        *(
            (
                f"n: {kind}  # runs{ending}",
                f"{ending.strip()!r} looks like a quick value: it is wri",
            )
            for kind in ("int = 3", "str = 'a'")
            for ending in (
                *("; Quick: 4", ";quick: 4", "; quick:4", "; quick 4", ", quick: 4", "; quik: 4"),
                *("; quick = 4", "; QUICK: 4", "; quickly: 4", "; quick:", "; quick"),
            )
        ),
        ("n: int = 3  # quick: 4", "'quick: 4' looks like a quick value"),
        ("n: int = 3  # runs quick: 4", "'quick: 4' looks like a quick value"),
        ("n: int = 3  # runs; quick: 4; quick: 5", "'; quick: 5' looks like a quick value"),
        ("# runs; quick: 4\nn: int = 3  # runs", "'; quick: 4' looks like a quick value"),
        ("n: list[int] = [\n    1,  # quick: 4\n]  # runs", "no parameter: 'quick: 4' looks like"),
    ],
)
def test_bad_parameters_cells_are_refused(line, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[").replace("]", r"\]")):
        parameters.read(line, "x.ipynb")


@pytest.mark.parametrize(
    ("comment", "text", "quick"),
    [
        ("runs; quick: 4", "runs", 4),
        ("wait; 0: none; quick: 0", "wait; 0: none", 0),
        ("rules; answer: the last", "rules; answer: the last", None),
        ("texts say so; numalab report --quick sets it", None, None),
        ("a # in a help, or two: ##; quick: 1", "a # in a help, or two: ##", 1),
    ],
)
def test_help_and_quick_value_are_told_apart(comment, text, quick):
    cell = f"# of the runs\nm: str = 'a # b'  # name\nn: int = 3  # {comment}"
    read = parameters.read(cell, "x.ipynb")
    assert (read["n"].help, read["n"].quick) == (text or comment, quick)
    assert (read["m"].help, read["m"].default) == ("name", "a # b")
