"""Messages as the standard parser, git and mutt read them."""

import shutil
import subprocess
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numalab.fields import InputError
from numalab.report import mail_headers, mail_lint, mail_message, mail_thread
from tests.fuzz import mail as fuzz

BODY = fuzz.BODY
LONG_ID = f"{'6' * 60}.1697632761.git.someone@linux.example.org"
DATE = datetime(2026, 3, 1, 12, tzinfo=UTC)
ME = mail_headers.Person("Jörg Ä, Müller", "me@example.org")
LIST = mail_headers.Person("", "list@example.org")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def _envelope(**other):
    given = {"sender": ME, "to": (LIST,), "subject": "numa", "date": DATE} | other
    return mail_message.Envelope(**given)


def _read(data):
    return message_from_bytes(data, policy=policy.default)


def test_a_message_is_whole_and_a_reply():
    references = ("first@example.org", LONG_ID, "parent@example.org")
    data = mail_message.write(BODY, _envelope(cc=(ME,), references=references), {})
    found = _read(data)
    assert found["From"].addresses[0].display_name == "Jörg Ä, Müller"
    assert (str(found["To"]), found["Cc"].addresses[0].addr_spec) == (LIST.address, ME.address)
    assert parsedate_to_datetime(found["Date"]) == DATE
    assert found["In-Reply-To"] == "<parent@example.org>"
    assert found["References"].split() == [f"<{ident}>" for ident in references]
    assert found["Message-ID"].startswith("<20260301120000.")
    assert found["Message-ID"].endswith(".numalab@example.org>")
    assert found.get_content() == BODY
    assert found.get_content_type() == "text/plain"
    assert data.isascii()
    assert mail_lint.findings(data) == []


@pytest.mark.parametrize("subject", ["Re: [PATCH] numa: scan", "Ärger mit numa " * 9, "x" * 300])
def test_subject_and_message_id_arrive_as_they_were_given(subject):
    """A long message id is not encoded: no reader would find the thread again."""
    data = mail_message.write(BODY, _envelope(subject=subject, references=(LONG_ID,)), {})
    assert f"In-Reply-To: <{LONG_ID}>".encode() in data
    assert _read(data)["Subject"].strip() == subject.strip()


def test_the_same_input_gives_the_same_bytes_and_other_content_another_id():
    first, same, other = (
        mail_message.write(body, _envelope(), {"fig_a.png": PNG})
        for body in (BODY, BODY, BODY.replace("yes", "no"))
    )
    assert first == same
    assert _read(first)["Message-ID"] != _read(other)["Message-ID"]


def test_figures_are_attached_behind_the_text():
    found = _read(mail_message.write(BODY, _envelope(), {"fig_a.png": PNG, "fig_b.png": PNG}))
    text, *figures = found.iter_parts()
    assert (text.get_content(), text["Content-Transfer-Encoding"]) == (BODY, "7bit")
    assert [f.get_filename() for f in figures] == ["fig_a.png", "fig_b.png"]
    assert {f.get_content_disposition() for f in figures} == {"attachment"}
    assert {f.get_content() for f in figures} == {PNG}


def test_a_message_that_is_too_large_is_refused_with_its_size_and_a_remedy():
    with pytest.raises(InputError, match=r"\d{6} bytes encoded: at most 100000: attach less"):
        mail_message.write(BODY, _envelope(), {"fig_a.png": PNG * 10})


@pytest.mark.parametrize("name", ["a\nBcc: x@y.png", 'a".png', "ä.png", "../a.png", "a.html", ""])
def test_the_name_of_a_file_makes_no_header(name):
    with pytest.raises(InputError, match="must be a plain name"):
        mail_message.write(BODY, _envelope(), {name: PNG})


@pytest.mark.parametrize(
    "subject",
    ["=?utf-8?q?hello=0ABcc:_victim@example.org?=", "a\nBcc: x@y", "a\r", "a\u2028b", "\x1b", "",
     "x" * 301],
)  # fmt: skip
def test_a_subject_that_a_reader_may_take_for_another_header_is_refused(subject):
    with pytest.raises(InputError, match="subject"):
        mail_message.write(BODY, _envelope(subject=subject), {})


@pytest.mark.parametrize(
    "ident",
    [
        "nobody", "@", "a@", "@b", "a@b c@d", "a@b\nBcc: x@y", "a@b\x00", "a\x1b@b", "a b@c",
        "=?utf-8?q?=0ABcc:_victim@example.org?=@x", "a@b,c@d", "<a@b", "a" * 300 + "@b",
        "https://lore.kernel.org/all/", "https://lore.kernel.org/all/a%0A@b/", "http://[x/a@b",
    ],
)  # fmt: skip
def test_what_is_no_message_id_is_refused(ident):
    with pytest.raises(InputError, match="message id"):
        mail_headers.message_id(ident)


@pytest.mark.parametrize(
    "address",
    ["https://lore.kernel.org/linux-mm/a.b-1@c.d/", "https://lore.kernel.org/r/a.b-1@c.d",
     "https://lore.kernel.org/all/a.b-1@c.d/T/#u", "https://lore.kernel.org/all/a.b-1%40c.d/raw",
     "http://lkml.kernel.org/r/a.b-1@c.d?x=y", "<a.b-1@c.d>", "a.b-1@c.d"],
)  # fmt: skip
def test_the_address_of_a_message_in_an_archive_gives_its_id(address):
    assert mail_headers.message_id(address) == "a.b-1@c.d"


@pytest.mark.parametrize(
    "text",
    ["", "me", "a@b, c@d", "a@b\nBcc: c@d", "A <a@b> c@d", "a b@c", "\x00 <a@b>", "ü@b",
     '"a b"@c', "=?utf-8?q?=0A?=@b", "group: a@b;,c@d"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="--to"):
        mail_headers.person(text, "--to")


def test_quoted_lines_are_attributed_and_stay_what_they_are():
    parent = mail_thread.Parent(
        message_id="a@b", author="Jürgen", date=DATE, lines=("one", "", "> before", "\tzwölf")
    )
    text = mail_message.quoted(parent, "1-4") + BODY
    assert text.startswith(
        "On Sun, 01 Mar 2026 12:00:00 +0000, Jürgen wrote:\n"
        "> one\n>\n>> before\n> \tzwölf\n\nsimulated"
    )
    data = mail_message.write(text, _envelope(), {})
    assert _read(data).get_content() == text
    assert _read(data)["Content-Transfer-Encoding"] == "8bit"
    assert mail_lint.findings(data) == []


@pytest.mark.parametrize("lines", ["0-1", "3-2", "2-9", "1,2", "-1", "x", "", "1-2\n", "٣-٤"])
def test_lines_that_are_not_there_are_not_quoted(lines):
    parent = mail_thread.Parent(message_id="a@b", lines=("a", "b", "c"))
    with pytest.raises(InputError, match="the message has lines 1 to 3"):
        mail_message.quoted(parent, lines)


hostile = st.lists(st.one_of(st.sampled_from(fuzz._PIECES), st.characters()), max_size=8)


@given(*[hostile.map("".join)] * 4)
def test_no_header_comes_that_was_not_asked_for(subject, name, to, ident):
    fuzz.check(subject, f"{name} <me@example.org>", "", "a@example.org", None)
    fuzz.check("s", "me@example.org", to, ident, None)
    fuzz.check("s", f"{name} <me@example.org>", "list@example.org", ident, None)


def test_the_search_finds_nothing_in_a_thousand_inputs():
    seen = fuzz.search(60, seed=18, most=1000)
    assert {"subject written", "name written", "thread written", "thread refused"} <= set(seen)


def test_git_sends_it_and_reads_it(tmp_path):
    """``--dry-run``: nothing is sent."""
    subject = "Re: Ärger: numa"
    data = mail_message.write(BODY, _envelope(subject=subject), {"fig_a.png": PNG})
    (tmp_path / "m.eml").write_bytes(data)
    read = subprocess.run(
        ["git", "mailinfo", "-k", "msg", "patch"], cwd=tmp_path, input=data, capture_output=True
    )
    assert f"Subject: {subject}\n" in read.stdout.decode()
    assert f"Email: {ME.address}\n" in read.stdout.decode()
    assert (tmp_path / "msg").read_bytes().startswith(BODY.encode())
    where = subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip()
    if not (Path(where) / "git-send-email").exists():
        pytest.skip("git send-email is not installed")
    words = ["--dry-run", "--quiet", "--confirm=never", "--suppress-cc=all", "--to=x@example.org"]
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    home |= {f"GIT_{who}_EMAIL": ME.address for who in ("AUTHOR", "COMMITTER")}
    sent = subprocess.run(
        ["git", "send-email", *words, "m.eml"], cwd=tmp_path, env=home, capture_output=True,
        text=True,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("Dry-Sent"), sent.stdout


def test_mutt_sees_the_text_and_the_attachment(tmp_path):
    if shutil.which("mutt") is None:
        pytest.skip("mutt is not installed")
    data = mail_message.write(BODY, _envelope(), {"fig_a.png": PNG})
    box, out = tmp_path / "box", tmp_path / "seen"
    box.write_bytes(b"From x Thu Jan  1 00:00:00 1970\n" + data + b"\n")
    (tmp_path / "rc").write_text(
        f"set move=no\nset record=''\nset folder={tmp_path}\nset wait_key=no\nset pipe_decode\n"
        f"push '<view-attachments><last-entry><pipe-entry>cat > {out}<enter><exit><exit>'\n"
    )
    words = ["script", "-qec", f"mutt -n -R -F {tmp_path}/rc -f {box}", "/dev/null"]
    if shutil.which("script") is None:
        pytest.skip("script, which gives mutt a terminal, is not installed")
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "xterm"}
    subprocess.run(words, env=env, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert out.read_bytes() == PNG
