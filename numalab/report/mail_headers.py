"""What stands in the headers of a mail: ids, people, subjects; a stranger's are cleaned first."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import MessageError
from email.header import Header, decode_header, make_header
from email.utils import formataddr, getaddresses
from urllib.parse import unquote, urlsplit

from numalab.fields import InputError

WIDTH = 75
"""Columns of a line, as of an encoded word (RFC 2047, 2)."""
LONGEST = 300
"""Characters of a subject, or of an option with a name and an address."""
_LONGEST_CODED = 4000
"""Characters of a header that are decoded: so many need the longest subject."""
LONGEST_ID = 244
"""Characters of a message id: public-inbox keeps no longer ones."""
MOST_PEOPLE = 100
_ATOMS = r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*"
_MESSAGE_ID = re.compile(rf"<?({_ATOMS}@(?:{_ATOMS}|\[[!-Z^-~]*\]))>?", re.ASCII)
"""RFC 5322, msg-id: atoms with dots on both sides, or an address literal on the right."""
_ADDRESS = re.compile(rf"{_ATOMS}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", re.ASCII)
_ENCODED = "=?"
"""Begins an encoded word (RFC 2047), in which a reader may see a line break."""


@dataclass(frozen=True, slots=True)
class Person:
    """A name, which may be empty, and an address."""

    name: str
    address: str

    def header(self) -> str:
        """Return the two as a header holds them: a name that is not ASCII as encoded words."""
        if self.name.isascii():
            return formataddr((self.name, self.address))
        return f"{Header(self.name, 'utf-8', maxlinelen=WIDTH).encode()} <{self.address}>"


def unsafe(character: str) -> bool:
    """Say whether a character controls a terminal or a reader: NUL, ESC, line and bidi marks."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def cleaned(text: str) -> str:
    """Return one line of what can be printed, with single blanks."""
    return " ".join("".join(" " if unsafe(c) else c for c in text).split())


def words(text: str) -> str:
    """Decode the encoded words of a header; where one cannot be, all stay as they are."""
    if len(text) > _LONGEST_CODED:
        text = text[:_LONGEST_CODED].rpartition(" ")[0]
    try:
        return str(make_header(decode_header(text)))
    except (MessageError, LookupError, ValueError):
        return text


def decoded(text: str) -> str:
    """Decode the encoded words of a header as far as they can be, and clean the result."""
    return cleaned(words(text))


def message_id(text: str) -> str:
    """Return the message id that a text is, or that the address of a list's archive holds.

    Raises
    ------
    InputError
        If there is none, or two, or one that a reader may take for another header.

    Examples
    --------
    >>> message_id("<20231010.4@example.org>")
    '20231010.4@example.org'
    >>> message_id("https://lore.kernel.org/linux-mm/20231010.4@example.org/T/#u")
    '20231010.4@example.org'
    """
    words = [text]
    if text.startswith(("http://", "https://")):
        try:
            words = [unquote(part) for part in urlsplit(text).path.split("/")]
        except ValueError:
            words = []
    for word in words:
        found = _MESSAGE_ID.fullmatch(word) if len(word) <= LONGEST_ID + 2 else None
        if found and _ENCODED not in word and word.startswith("<") == word.endswith(">"):
            return found[1]
    shown = text if len(text) < 80 else text[:77] + "..."
    raise InputError(f"in_reply_to = {shown!r}: must be a message id, local@domain, or its address")


def message_ids(text: str) -> list[str]:
    """Return the message ids of a References or In-Reply-To header; what is none is left out."""
    found = []
    for word in re.findall(r"<[^<>\s]*>", text):
        try:
            found.append(message_id(word))
        except InputError:
            continue
    return list(dict.fromkeys(found))


def people(headers: Iterable[str]) -> tuple[list[Person], list[str]]:
    """Return the people of raw address headers, each once, and what was no address.

    Raises
    ------
    InputError
        For more than :data:`MOST_PEOPLE`.
    """
    texts = [" ".join(text.split()) for text in headers]
    if sum(text.count("@") for text in texts) > 2 * MOST_PEOPLE:
        raise InputError(f"mail: more than {MOST_PEOPLE} recipients: give --to and --cc yourself")
    known: dict[str, Person] = {}
    bad = []
    for name, address in getaddresses(texts):
        if _ADDRESS.fullmatch(address) and len(address) <= 254 and _ENCODED not in address:
            # no second round of decoding finds anything in a name
            plain = decoded(name)[:100].replace(_ENCODED, "= ?")
            known.setdefault(address.lower(), Person(plain, address))
        elif name or address:
            bad.append(cleaned(f"{name} {address}")[:60])
    if len(known) > MOST_PEOPLE:
        raise InputError(f"mail: {len(known)} recipients: at most {MOST_PEOPLE}")
    return [*known.values()], bad


def person(text: str, option: str) -> Person:
    """Return the one person that an option gives.

    Raises
    ------
    InputError
        Naming the option.
    """
    found, bad = people([text]) if text.isprintable() and len(text) < LONGEST else ([], [text])
    if len(found) != 1 or bad:
        raise InputError(f"{option} {text[:80]!r}: must be 'Name <local@domain>'")
    return found[0]


def subject(text: str) -> str:
    """Return a subject as its header holds it, in encoded words if it is not ASCII.

    Raises
    ------
    InputError
        If it is not one printable line, or holds what a reader may decode once more.
    """
    if not text.strip() or not text.isprintable() or _ENCODED in text or len(text) > LONGEST:
        raise InputError(
            f"mail: subject {text[:80]!r}: must be one line without {_ENCODED!r}, at most "
            f"{LONGEST} characters: give another --subject"
        )
    if text.isascii():
        return folded("Subject", text.split(" "), " ")
    return Header(text, "utf-8", header_name="Subject", maxlinelen=WIDTH).encode()


def folded(name: str, items: Iterable[str], between: str) -> str:
    """Join the items of a header, which goes on in further lines where it would be too long.

    Examples
    --------
    >>> folded("References", ["<a@b>", "<c@d>"], " ")
    '<a@b> <c@d>'
    """
    lines = [""]
    used = len(name) + 2
    for item in items:
        first, *_ = item.split("\n")
        if not lines[-1]:
            lines[-1] = item
        elif used + len(lines[-1].rpartition("\n")[2]) + len(between) + len(first) <= WIDTH:
            lines[-1] += between + item
        else:
            lines[-1] += between.rstrip()
            lines.append(item)
            used = 1
    return "\n ".join(lines)
