import pytest

from numalab.fields import InputError
from numalab.report import mail, tables


def test_table_wider_than_a_mail_is_refused():
    with pytest.raises(InputError, match="at most 75"):
        tables.plain(["a" * 40, "b" * 40], [["1", "2"]])


def _body(**other):
    words = {
        "source": "simulated",
        "question": "does it scan?",
        "machine": "2 nodes",
        "tables": ["a  b"],
        "answer": "yes",
        "reproduce": "make report",
    }
    return mail.compose(**(words | other))


def test_mail_begins_with_its_source_and_ends_with_how_to_repeat_it():
    body = _body()
    assert body.startswith("simulated: does it scan?")
    assert body.splitlines()[-1] == "reproduce: make report"
    assert _body(quick=True).startswith("simulated, quick run: does it scan?")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"source": "measured"}, "must begin"),
        ({"answer": "5 µs"}, "ASCII"),
        ({"tables": ["x" * 76]}, "76 columns"),
        ({"tables": ["a\tb"]}, "ASCII"),
    ],
)
def test_mail_that_a_list_would_refuse_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        _body(**other)


def test_message_is_plain_text_and_a_reply():
    text = str(mail.message(_body(), subject="numa", in_reply_to="<a@b>"))
    assert "In-Reply-To: <a@b>" in text
    assert 'Content-Type: text/plain; charset="us-ascii"' in text
    with pytest.raises(InputError, match="message id"):
        mail.message(_body(), subject="numa", in_reply_to="nobody")
