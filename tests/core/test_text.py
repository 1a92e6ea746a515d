"""Names out of files, as they are shown."""
import pytest

from minicnn.core.text import printable


@pytest.mark.parametrize("text", ["cat", "", "Hund und Katze", "\u732b", "a\\b", "\u00e9 \U0001f431"])
def test_what_can_be_printed_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("text, shown", [
    ("\x1b[2J", r"\x1b[2J"), ("a\nminicnn: error: b", r"a\nminicnn: error: b"), ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("\r", r"\r"), ("\x9b1m", r"\x9b1m"), ("\u202egpj", r"\u202egpj"), ("a\u2028b", r"a\u2028b"), ("caf\udce9", r"caf\udce9"),
    ("\x00", r"\x00"), ("\ufeff", r"\ufeff")])
def test_what_could_do_something_is_escaped(text, shown):
    assert printable(text) == shown and shown.isprintable()
