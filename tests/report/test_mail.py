import pytest

from numalab.fields import InputError
from numalab.report import mail


def _body(first="simulated: does it scan?", table="a  b"):
    return "\n\n".join([first, "yes", table, "reproduce: make report"]) + "\n"


def test_a_mail_that_a_list_takes_passes():
    first = "recorded on 6.12: does it scan?"
    assert [mail.lint(body) for body in (_body(), _body(first))] == [None, None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_body("measured: does it scan?"), "must begin"),
        (_body(table="5 µs"), "ASCII"),
        (_body(table="x" * 76), "76 columns"),
        (_body(table="a\tb"), "ASCII"),
        (_body().rpartition("reproduce")[0], "how to reproduce"),
    ],
)
def test_mail_that_a_list_would_refuse_is_refused(body, message):
    with pytest.raises(InputError, match=message):
        mail.lint(body)


def test_message_is_plain_text_and_a_reply():
    text = str(mail.message(_body(), subject="numa", in_reply_to="<a@b>"))
    assert "In-Reply-To: <a@b>" in text
    assert 'Content-Type: text/plain; charset="us-ascii"' in text
    with pytest.raises(InputError, match="message id"):
        mail.message(_body(), subject="numa", in_reply_to="nobody")
