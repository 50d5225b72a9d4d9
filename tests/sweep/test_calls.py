"""What a function of the user raises is one line that says where in his code."""

import functools

import pytest

from numalab.fields import InputError
from numalab.sweep.calls import CallError, called, name_of


def parse(text, base=10):
    return helper(text, base)


def helper(text, base):
    return int(text, base) and next(open for _ in [])


def test_the_line_is_the_last_one_in_his_own_file():
    first = parse.__code__.co_firstlineno
    for function in (parse, functools.partial(parse, base=16)):
        with pytest.raises(CallError) as caught:
            called(function, "!")
        assert str(caught.value).startswith("ValueError: invalid literal for int() with base 1")
        assert str(caught.value).endswith(f" (line {first + 5} of helper)")


def test_an_exception_without_a_text_or_of_another_file_is_still_named():
    with pytest.raises(CallError, match=r"^StopIteration \(line [0-9]+ of helper\)$"):
        called(parse, "1")
    with pytest.raises(CallError, match=r"^TypeError: parse\(\) missing .* 'text'$"):
        called(parse)
    with pytest.raises(CallError, match=r"^ValueError: "):
        called(int, "!")


def test_an_input_error_and_a_result_come_through():
    def refuse():
        raise InputError("no")

    with pytest.raises(InputError, match=r"^no$") as caught:
        called(refuse)
    assert not isinstance(caught.value, CallError)
    assert called(max, 3, 4) == 4


def test_names():
    assert [name_of(f) for f in (parse, functools.partial(parse), max)] == ["parse", "parse", "max"]
