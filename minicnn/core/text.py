"""Names and remarks out of files, as they are shown to people.

A file may call a class, a layer or itself whatever it likes: also with letters that clear a terminal, turn the direction
of writing, or begin a line that looks like an error of ours.  Names are data and stay as they are; `printable` shows them.
"""


def printable(text):
    """`text` in one line that can do nothing to a terminal or a page: letters that are not printed are written as escapes.

        printable("a\\x1b[2Jb\\nc")   ->   r"a\\x1b[2Jb\\nc"

    Escaped are control letters, line breaks, marks without a width of their own that change direction, and the halves of
    letters by which Python names files whose names are not UTF-8.  Anything else, also a space, stays.
    """
    text = str(text)
    return text if text.isprintable() else "".join(map(_letter, text))


def _letter(letter):
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
