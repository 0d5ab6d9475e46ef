"""Lines, and blocks between markers."""

from __future__ import annotations

import re

# What is blank, as Unicode says; `str.strip` takes some control characters for blank too.
BLANK = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


def line_present(text: str, line: str) -> str:
    """Has `line` be in the text, at its end if it is not there."""
    lines = Lines(text)
    if line not in lines.texts():
        lines.insert(len(lines.all), line)
    return lines.join()


def line_absent(text: str, line: str) -> str:
    """Has `line` not be in the text."""
    lines = Lines(text)
    lines.all = [there for there in lines.all if there[0] != line]
    return lines.join()


def line_key(text: str, prefix: str, line: str) -> str:
    """Has exactly one line that starts with `prefix`, blanks before it aside, and that it be `line`:
    in place of the first such line, or at the end. `line` must start with `prefix` itself; it is
    found again otherwise by its whole text."""

    def is_one(there: str) -> bool:
        return there == line or there.lstrip(BLANK).startswith(prefix)

    lines = Lines(text)
    found = [n for n, there in enumerate(lines.texts()) if is_one(there)]
    if not found:
        lines.insert(len(lines.all), line)
        return lines.join()
    lines.all[found[0]] = (line, lines.all[found[0]][1])
    lines.remove(found[1:])
    return lines.join()


def block(text: str, begin: str, end: str, content: str | None) -> str:
    """Has the lines of `content` be between a line `begin` and a line `end`: in place of what is
    there between them, or at the end of the text. Without content, the markers go too. A `begin`
    that is not closed is taken for an ordinary line."""
    lines = Lines(text)
    place = None
    # Of several blocks the first one counts, and the others go.
    while found := _find_block(lines, begin, end):
        place = found[0] if place is None else place
        del lines.all[found[0] : found[1] + 1]
    if content is not None:
        at = len(lines.all) if place is None else place
        for n, line in enumerate([begin, *lines_of(content), end]):
            lines.insert(at + n, line)
    return lines.join()


def _find_block(lines: Lines, begin: str, end: str) -> tuple[int, int] | None:
    """The first block: from the last `begin` before the first `end` that closes one."""
    start = None
    for n, line in enumerate(lines.texts()):
        if line == begin:
            start = n
        elif line == end and start is not None:
            return start, n
    return None


class Lines:
    """A text as lines with their ends, and what is needed to put them together again."""

    def __init__(self, text: str) -> None:
        self.all = [(line, piece[len(line) :]) for line, piece in zip(lines_of(text), _pieces(text))]
        self.is_closed = text == "" or text.endswith("\n")
        self.end = _end_of(text)

    def texts(self) -> list[str]:
        return [text for text, _ in self.all]

    def insert(self, at: int, line: str) -> None:
        self.all.insert(at, (line, self.end))

    def remove(self, places: list[int]) -> None:
        for at in reversed(places):
            del self.all[at]

    def join(self) -> str:
        lines = list(self.all)
        # A blank line without an end could not be told from none.
        while not self.is_closed and lines and lines[-1][0] == "":
            lines.pop()
        # What was the last line, without an end, may be in the midst now.
        ended = [text + (end or self.end) for text, end in lines]
        if lines and not self.is_closed:
            ended[-1] = lines[-1][0]
        return "".join(ended)


def with_ends_of(old: str, made: str) -> str:
    """`made`, which ends its lines with `\\n`, with the ends of lines that the first line of `old`
    has, and without one at the end of the text if `old` has none there."""
    if old and not old.endswith("\n"):
        made = made.removesuffix("\n")
    if _end_of(old) == "\r\n":
        made = made.replace("\r\n", "\n").replace("\n", "\r\n")
    return made


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends."""
    return [re.sub(r"\r?\n\Z", "", piece) for piece in _pieces(text)]


def _pieces(text: str) -> list[str]:
    """Lines with their ends; `str.splitlines` knows more ends than there are."""
    return re.findall(r"[^\n]*\n|[^\n]+\Z", text)


def _end_of(text: str) -> str:
    """How the first line ends, and so what is added."""
    return "\r\n" if re.match(r"[^\n]*\r\n", text) else "\n"
