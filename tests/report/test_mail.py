from email import message_from_string, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.report import mail

LONG_ID = f"{'6' * 60}.1697632761.git.someone@linux.example.org"
HEADERS = {"Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Subject"}


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
        *((_body(table=f"a{c}b"), "ASCII") for c in "\r\v\f\x00\x1b\x1c\x85\u2028\u2029"),
        (_body(table="a\r\nb"), "ASCII"),
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


@pytest.mark.parametrize("subject", ["Re: [PATCH] numa: scan", "Ärger mit numa " * 9, "x" * 300])
def test_subject_and_message_id_arrive_as_they_were_given(subject):
    """A long message id is not encoded: no reader would find the thread again."""
    text = str(mail.message(_body(), subject=subject, in_reply_to=LONG_ID))
    assert text.isascii()
    assert f"In-Reply-To: <{LONG_ID}>" in text.replace("\n ", " ")
    found = message_from_string(text, policy=policy.default)
    assert found["Subject"].strip() == subject.strip()
    assert found["References"] == f"<{LONG_ID}>"
    assert found.get_content() == _body()


@pytest.mark.parametrize(
    "ident",
    [
        "nobody", "@", "a@", "@b", "a@b c@d", "a@b\nBcc: x@y", "a@b\x00", "a\x1b@b", "a b@c",
        "=?utf-8?q?=0ABcc:_victim@example.org?=@x", "https://lore.kernel.org/all/a@b/", "a@b,c@d",
    ],
)  # fmt: skip
def test_what_is_no_message_id_is_refused(ident):
    with pytest.raises(InputError, match="message id"):
        mail.message(_body(), subject="s", in_reply_to=ident)


@pytest.mark.parametrize(
    "subject",
    ["=?utf-8?q?hello=0ABcc:_victim@example.org?=", "a\nBcc: x@y", "a\r", "a\u2028b", "\x1b"],
)
def test_a_subject_that_a_reader_may_take_for_another_header_is_refused(subject):
    with pytest.raises(InputError, match="subject"):
        mail.message(_body(), subject=subject)


hostile = st.text(st.one_of(st.characters(), st.sampled_from("=?\r\n:@<> \x00Bcc")), max_size=60)


@given(hostile, hostile)
def test_no_header_comes_that_was_not_asked_for(subject, ident):
    try:
        text = str(mail.message(_body(), subject=subject, in_reply_to=ident))
    except InputError:
        return
    wanted = HEADERS | ({"In-Reply-To", "References"} if ident else set())
    for found in (message_from_string(text), message_from_string(text, policy=policy.default)):
        assert set(found.keys()) == wanted
    assert str(make_header(decode_header(found["Subject"]))).count("\n") == 0


@pytest.mark.parametrize("question", ["*", "../reports/q08", "/etc", "q0?", "", "q08/..", "[q]"])
def test_the_name_of_a_question_is_no_pattern_and_no_path(question, tmp_path):
    (tmp_path / "q08_x").mkdir()
    (tmp_path / "q08_x" / "mail.txt").write_text(_body())
    assert mail.of_report("q08", tmp_path) == _body()
    with pytest.raises(InputError, match="must be a name such as q02"):
        mail.of_report(question, tmp_path)
