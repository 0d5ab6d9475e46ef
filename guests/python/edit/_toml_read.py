"""Keys and values of a TOML document, read from its text."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from ._error import EditError
from ._toml_tree import Key, Table, Value

# As deep as values may hold each other, and keys have dots.
_DEPTH = 80
_ESCAPES = {"b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_BLANKS = _pattern(r"[ \t]*")
_BLANKS_AND_COMMENT = _pattern(r"[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?")
_NEWLINE = _pattern(r"\r?\n")
_BARE_KEY = _pattern(r"[\w-]+")
_WORD = _pattern(r"[^=,\[\]{} \t#\r\n]+")
_LATER_WORD = _pattern(r" [^=,\[\]{} \t#\r\n]+")
_LITERAL = _pattern(r"[^'\x00-\x08\x0a-\x1f\x7f]*")
_BASIC = _pattern(r'[^"\\\x00-\x08\x0a-\x1f\x7f]*')
_LONG = _pattern(r"""[^"'\\\x00-\x08\x0b-\x1f\x7f]+|\r\n""")
_JOINED = _pattern(r"\\[ \t]*\r?\n(?:[ \t]|\r?\n)*")
_HEX_ESCAPE = _pattern(r"\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})")
_ESCAPE = _pattern(r'\\[befnrt"\\]')

_TIME = r"([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)(\.\d+)?)?"
_DATE = r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_OFFSET = r"[Zz]|[+-]([01]\d|2[0-3]):[0-5]\d"
_WHEN = _pattern(rf"{_TIME}|{_DATE}([Tt ]{_TIME}({_OFFSET})?)?")
_DAY = _pattern(r"\d{4}-\d\d-\d\d")
_WHOLE = r"(0|[1-9](_?\d)*)"
_INTEGER = _pattern(
    rf"[+-]?{_WHOLE}|0x[\da-fA-F](_?[\da-fA-F])*|0o[0-7](_?[0-7])*|0b[01](_?[01])*"
)
_FLOAT = _pattern(rf"[+-]?({_WHOLE}(\.\d(_?\d)*)?([eE][+-]?\d(_?\d)*)?|inf|nan)")


class Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 1 if text.startswith("\ufeff") else 0

    def fail(self, why: str) -> NoReturn:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        raise EditError(f"{why} at line {line} column {column}")

    def is_at_end(self) -> bool:
        return self.at == len(self.text)

    def is_at(self, *tokens: str) -> bool:
        return self.text.startswith(tokens, self.at)

    def take(self, token: str) -> bool:
        is_there = self.is_at(token)
        self.at += len(token) if is_there else 0
        return is_there

    def expect(self, token: str) -> None:
        if not self.take(token):
            self.fail(f"expected `{token}`")

    def match(self, pattern: re.Pattern[str]) -> str:
        """What matches here, or the empty text."""
        found = pattern.match(self.text, self.at)
        text = found[0] if found else ""
        self.at += len(text)
        return text

    def blanks(self) -> str:
        return self.match(_BLANKS)

    def blanks_and_comments(self) -> str:
        """Blanks, ends of lines and comments; of the ends, only `\\n` is kept."""
        found = []
        while True:
            start = self.at
            found.append(self.match(_BLANKS_AND_COMMENT))
            found.append("\n" if self.match(_NEWLINE) else "")
            if self.at == start:
                return "".join(found)

    def end_of_line(self) -> str:
        """What is left of a line."""
        found = self.match(_BLANKS_AND_COMMENT)
        if not self.is_at_end() and not self.match(_NEWLINE):
            self.fail("expected the end of the line")
        return found

    def header(self) -> tuple[list[Key], bool]:
        """`[a.b]` or `[[a.b]]`: the path, and whether the brackets are double."""
        is_of_many = self.take("[[")
        if not is_of_many:
            self.expect("[")
        prefix = self.blanks()
        path = self.path()
        path[-1].prefix, path[-1].suffix = prefix, self.blanks()
        self.expect("]]" if is_of_many else "]")
        return path, is_of_many

    def path(self) -> list[Key]:
        """The keys of `a.b.c`."""
        path: list[Key] = []
        before = ""
        while True:
            start = self.at
            name = self.line() if self.is_at('"', "'") else self.match(_BARE_KEY)
            if self.at == start:
                self.fail("expected a key")
            key = Key(name, self.text[start : self.at], dot_prefix=before)
            path.append(key)
            if len(path) > _DEPTH:
                self.fail("too many dots")
            end = self.at
            after = self.blanks()
            if not self.take("."):
                self.at = end
                return path
            key.dot_suffix = after
            before = self.blanks()

    def value(self, depth: int) -> Value | Table:
        if self.is_at("[", "{"):
            if depth == _DEPTH:
                self.fail("too deep")
            return self.list(depth + 1) if self.is_at("[") else self.table(depth + 1)
        start = self.at
        value = Value("text", self.string()) if self.is_at('"', "'") else self.scalar()
        value.spelling = self.text[start : self.at]
        return value

    def list(self, depth: int) -> Value:
        made = Value("list", [])
        self.expect("[")
        while True:
            prefix = self.blanks_and_comments()
            if self.take("]"):
                made.trailing, made.has_comma = prefix, bool(made.value)
                return made
            value = self.value(depth)
            value.prefix, value.suffix = prefix, self.blanks_and_comments()
            made.value.append(value)
            if self.take("]"):
                return made
            self.expect(",")

    def table(self, depth: int) -> Table:
        """A table in braces."""
        made = Table(is_inline=True)
        self.expect("{")
        while True:
            prefix = self.blanks_and_comments()
            if self.take("}"):
                made.trailing, made.has_comma = prefix, bool(made.items)
                return made
            path = self.path()
            path[-1].prefix, path[-1].suffix = prefix, self.blanks_and_comments()
            self.expect("=")
            before = self.blanks_and_comments()
            value = self.value(depth)
            value.prefix, value.suffix = before, self.blanks_and_comments()
            self.add(made, path, value)
            if self.take("}"):
                return made
            self.expect(",")

    def add(self, table: Table, path: list[Key], value: Value | Table) -> None:
        """Adds to a table in braces."""
        for key in path[:-1]:
            there = table.get(key.name)
            if there is None:
                there = Table(is_inline=True, is_implicit=True, is_dotted=True)
                table.items[key.name] = (key, there)
            elif not isinstance(there, Table) or not there.is_implicit:
                self.fail(f"`{key.name}` cannot be extended")
            table = there
        key = path[-1]
        if key.name in table.items or (len(path) == 1 and table.is_dotted):
            self.fail(f"duplicate key `{key.name}`")
        table.items[key.name] = (key, value)

    def scalar(self) -> Value:
        word = self.match(_WORD)
        # A date and a time may have a blank between them.
        if _DAY.fullmatch(word):
            word += self.match(_LATER_WORD)
        digits = word.replace("_", "")
        if word in ("true", "false"):
            return Value("flag", word == "true")
        if _INTEGER.fullmatch(word):
            # Longer ones are too large in any case: none begins with zeros.
            is_decimal = not word.startswith(("0x", "0o", "0b"))
            is_long = is_decimal and len(digits) > 20
            whole = 2**64 if is_long else int(digits, 10 if is_decimal else 0)
            if not -(2**63) <= whole < 2**63:
                self.fail("the number is too large")
            return Value("integer", whole)
        if _FLOAT.fullmatch(word):
            if math.isinf(float(digits)) and not digits.endswith("inf"):
                self.fail("the number is too large")
            return Value("float", float(digits))
        if _WHEN.fullmatch(word) and _is_day(word):
            return Value("time", word)
        self.fail(f"`{word}` is no value" if word else "expected a value")

    def string(self) -> str:
        for quote in ('"""', "'''"):
            if self.take(quote):
                return self.lines(quote)
        return self.line()

    def line(self) -> str:
        """A text on one line, in `"` or `'`."""
        if self.take("'"):
            text = self.match(_LITERAL)
            self.expect("'")
            return text
        self.expect('"')
        text = ""
        while not self.take('"'):
            text += self.match(_BASIC)
            if self.is_at("\\"):
                text += self.escaped()
            elif not self.is_at('"'):
                self.fail("expected the end of the text")
        return text

    def lines(self, quote: str) -> str:
        """A text on several lines, behind its first three quotes."""
        self.match(_NEWLINE)
        text = []
        while not self.take(quote):
            found = self.match(_LONG)
            if found:
                text.append(found)
            elif self.is_at("\\") and quote == '"""':
                # A backslash at the end of a line takes it away, with the blanks that follow.
                text.append("" if self.match(_JOINED) else self.escaped())
            elif self.is_at('"', "'", "\\"):
                text.append(self.text[self.at])
                self.at += 1
            else:
                self.fail("expected the end of the text")
        # Up to two more quotes are of the text.
        for _ in range(2):
            text.append(quote[0] if self.take(quote[0]) else "")
        return "".join(text)

    def escaped(self) -> str:
        code = int(self.match(_HEX_ESCAPE)[2:] or "-1", 16)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            self.fail("no such character")
        if code >= 0:
            return chr(code)
        plain = self.match(_ESCAPE)
        if not plain:
            self.fail("no such escape")
        return _ESCAPES[plain[1]]


def _is_day(word: str) -> bool:
    """Whether the month of a date has that day."""
    if not _DAY.match(word):
        return True
    year, month, day = int(word[:4]), int(word[5:7]), int(word[8:10])
    is_leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    return day <= [31, 29 if is_leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
