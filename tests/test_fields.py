"""Declared fields: what they accept, what they refuse, and in which words."""

import dataclasses
import math

import pytest

from numalab.fields import InputError, check_kind, declared, field, unknown_name, validate, where_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kettle:
    name: str = field(doc="name")
    litres: float = field(1.5, unit="l", at_least=0.1, at_most=3, doc="volume")
    cups: int = field(4, at_least=0, doc="cups")
    steel: bool = field(False, doc="steel")
    colour: str = field("red", choices=("red", "blue"), doc="colour")
    marks: tuple[int | tuple[int, ...], ...] = field((), doc="marks")
    note: str | None = field(None, doc="note")

    def __post_init__(self):
        validate(self)


def refusal(**values):
    with pytest.raises(InputError) as caught:
        Kettle(**{"name": "k", **values})
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_bounds_are_inclusive():
    assert Kettle(name="k", litres=0.1).litres == 0.1
    assert Kettle(name="k", litres=3).litres == 3
    assert refusal(litres=math.nextafter(3, 4)).endswith("must be at most 3 l")
    assert refusal(litres=0.05) == 'kettle "k": litres = 0.05 l: must be at least 0.1 l'
    assert refusal(cups=-1) == 'kettle "k": cups = -1: must be at least 0'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_is_finite(value):
    assert refusal(litres=value).endswith("must be finite")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"litres": "1"}, "litres = '1': must be a number"),
        ({"litres": None}, "must be a number"),
        ({"litres": True}, "litres = True: must be a number"),
        ({"cups": True}, "cups = True: must be a whole number"),
        ({"cups": 1.0}, "cups = 1.0: must be a whole number"),
        ({"steel": 1}, "steel = 1: must be true or false"),
        ({"steel": "true"}, "must be true or false"),
        ({"colour": 3}, "colour = 3: must be text"),
        ({"marks": [1]}, "must be a list"),
        ({"marks": 1}, "must be a list"),
        ({"note": 1}, "must be text"),
    ],
)
def test_a_value_of_another_type_is_refused(values, words):
    assert words in refusal(**values)


def test_a_declaration_is_evaluated_once_for_all_objects():
    """Evaluating type hints was 43 % of the planning of a sweep."""
    found = declared(Kettle)
    assert found["litres"] == (float, dataclasses.fields(Kettle)[1].metadata)
    assert declared(Kettle) is found


def test_a_value_is_checked_against_a_type_without_an_object():
    check_kind("x", 3, float)
    check_kind("x", "red", str, ("red", "blue"))
    with pytest.raises(InputError, match=r"^x = 3: must be text$"):
        check_kind("x", 3, str)
    with pytest.raises(InputError, match=r"^x = 'green': must be one of red, blue$"):
        check_kind("x", "green", str, ("red", "blue"))


def test_an_int_is_a_number_and_none_only_where_it_is_allowed():
    assert Kettle(name="k", litres=2).litres == 2
    assert Kettle(name="k", note=None).note is None
    assert Kettle(name="k", note="x").note == "x"


def test_a_choice_is_one_of_the_words():
    assert refusal(colour="green") == "kettle \"k\": colour = 'green': must be one of red, blue"
    assert "must be one of" in refusal(colour="Red")
    assert "must be one of" in refusal(colour="")


def test_an_unknown_name_is_answered_with_the_nearest():
    assert str(unknown_name("policy", "linux-6.11", ["linux-6.1", "linux-7.2"])) == (
        "unknown policy 'linux-6.11'; did you mean 'linux-6.1'?"
    )
    assert str(unknown_name("x", "q", ["b", "a"])) == "unknown x 'q'; known: a, b"
    assert str(unknown_name("x", 3, ["b", "a"])) == "unknown x 3; known: a, b"


def test_an_object_is_named_by_kind_and_name():
    assert where_of(Kettle(name="tea")) == 'kettle "tea"'

    class Nameless:
        pass

    assert where_of(Nameless()) == "nameless"


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


def test_an_input_error_is_one_line_whatever_it_quotes():
    assert str(InputError("vma.a\nb: unknown\r\nc")) == "vma.a b: unknown c"
    assert str(InputError("a\0b \x1b[31m é")) == "a\\x00b \\x1b[31m é"


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("name", ["litres", "cups"])
def test_an_integer_beyond_every_float_is_refused_like_any_other(name, digits):
    """fields.py: validate() turns a bad value into one line."""
    assert f"{name} = " in (text := refusal(**{name: -(10**digits)}))
    assert "must be at least" in text
    assert "must be at most" in refusal(**{name: 10**digits})


def test_a_message_is_one_line_even_if_the_name_is_not():
    assert refusal(name="a\nb", cups=-1) == 'kettle "a\\nb": cups = -1: must be at least 0'


@pytest.mark.parametrize("value", ["x" * 9999, [0] * 9999, [10**5000], "a\nb", {"a": "\n"}])
def test_a_message_is_short_whatever_the_value(value):
    assert len(refusal(cups=value)) < 140
    assert len(refusal(colour=value)) < 140
    assert len(refusal(name=value, cups=-1)) < 180


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ((1, "2"), "marks[1] = '2': must be a whole number or a list"),
        ((True,), "marks[0] = True: must be a whole number or a list"),
        ((1, (2, None)), "marks[1][1] = None: must be a whole number"),
    ],
)
def test_what_a_list_holds_is_checked_too(marks, words):
    assert words in refusal(marks=marks)


def test_a_number_is_printed_so_that_it_differs_from_its_bound():
    assert "litres = 3.0000000000000004 l: must be at most 3 l" in refusal(
        litres=math.nextafter(3, 4)
    )
