"""A tree as a TOML document."""

from __future__ import annotations

import re
from typing import Any, Callable

from ._json import float_text
from ._toml_tree import Key, Table, Tables, Value

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\"}


def document(root: Table, trailing: str) -> str:
    tables: list[tuple[int, Table, list[Key], bool]] = []

    def tell(table: Table, path: list[Key], is_of_many: bool) -> None:
        # A table that was added comes behind the one before it in the tree.
        before = tables[-1][0] if tables else 0
        position = before if table.position is None else table.position
        tables.append((position, table, path, is_of_many))

    _visit(root, [], False, tell)
    tables[1:] = sorted(tables[1:], key=lambda entry: entry[0])
    out = []
    is_first = True
    for _, table, path, is_of_many in tables:
        lines = _lines_of(table, [])
        is_shown = bool(lines) or (bool(path) and (is_of_many or not table.is_implicit))
        if path and is_shown:
            opening, closing = ("[[", "]]") if is_of_many else ("[", "]")
            usual = "" if is_first else "\n"
            out.append(usual if table.prefix is None else table.prefix)
            out.append(f"{opening}{_dotted(path, '', '')}{closing}{table.suffix or ''}\n")
        is_first = is_first and not is_shown
        for keys, item in lines:
            out.append(f"{_dotted(keys, '', ' ')}={_value(item, ' ', '')}\n")
    return "".join(out) + trailing


def _visit(
    table: Table, path: list[Key], is_of_many: bool, tell: Callable[[Table, list[Key], bool], None]
) -> None:
    """Tells all tables with headers, whether these are shown or not."""
    if not table.is_dotted:
        tell(table, path, is_of_many)
    for key, item in table.items.values():
        if isinstance(item, Tables):
            for one in item.all:
                _visit(one, [*path, key], True, tell)
        elif isinstance(item, Table) and not item.is_inline:
            _visit(item, [*path, key], False, tell)


def _lines_of(table: Table, path: list[Key]) -> list[tuple[list[Key], Any]]:
    """What is written as `key = value` in a table, with the tables that its dotted keys made."""
    lines = []
    for key, item in table.items.values():
        if isinstance(item, Table) and item.is_dotted:
            lines += _lines_of(item, [*path, key])
        elif isinstance(item, Value) or (isinstance(item, Table) and item.is_inline):
            lines.append(([*path, key], item))
    return lines


def _dotted(path: list[Key], prefix: str, suffix: str) -> str:
    last = path[-1]
    parts = []
    for n, key in enumerate(path):
        before = key.dot_prefix if n > 0 else ""
        after = key.dot_suffix if key is not last else ""
        parts.append(before + (key.spelling or _key_text(key.name)) + after)
    return _around(last, ".".join(parts), prefix, suffix)


def _value(item: Any, prefix: str, suffix: str) -> str:
    return _around(item, _bare(item), prefix, suffix)


def _around(thing: Any, text: str, prefix: str, suffix: str) -> str:
    before = prefix if thing.prefix is None else thing.prefix
    after = suffix if thing.suffix is None else thing.suffix
    return before + text + after


def _bare(item: Any) -> str:
    if isinstance(item, Table):
        lines = _lines_of(item, [])
        last = len(lines) - 1
        inner = [
            f"{_dotted(path, ' ', ' ')}={_value(value, ' ', ' ' if n == last else '')}"
            for n, (path, value) in enumerate(lines)
        ]
        return f"{{{_listed(inner, item, len(item.items))}}}"
    if item.spelling is not None:
        return item.spelling
    if item.kind == "list":
        inner = [_value(value, " " if n > 0 else "", "") for n, value in enumerate(item.value)]
        return f"[{_listed(inner, item, len(inner))}]"
    if item.kind == "text":
        return _value_text(item.value)
    if item.kind == "float":
        return float_text(item.value)
    return str(item.value).lower()


def _listed(inner: list[str], item: Any, count: int) -> str:
    return ",".join(inner) + ("," if item.has_comma and count > 0 else "") + item.trailing


def _key_text(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    is_control = bool(_CONTROL.search(name)) or "\n" in name
    is_plain = not is_control and '"' not in name and "\\" not in name
    return _quoted(name, '"') if is_plain or is_control or "'" in name else f"'{name}'"


def _value_text(text: str) -> str:
    """In the quotes that need the fewest escapes."""
    is_multiline = "\n" in text
    has_backslash = "\\" in text
    if _CONTROL.search(text):
        return _quoted(text, '"""' if is_multiline else '"')
    if not has_backslash and not is_multiline and '"' not in text:
        return _quoted(text, '"')
    if not is_multiline and "'" not in text:
        return f"'{text}'"
    if not has_backslash and '"""' not in text:
        return _quoted(text, '"""')
    if "'''" not in text:
        newline = "\n" if is_multiline else ""
        return f"'''{newline}{text}'''"
    return _quoted(text, '"""' if is_multiline else '"')


def _quoted(text: str, quote: str) -> str:
    is_long = quote == '"""'
    out = [quote, "\n" if is_long and "\n" in text else ""]
    quotes = 0
    for char in text:
        quotes = quotes + 1 if char == '"' else 0
        if quotes > (2 if is_long else 0):
            out.append('\\"')
            quotes = 0
        elif char == "\n" and is_long:
            out.append(char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif _CONTROL.match(char):
            out.append(f"\\u{ord(char):04X}")
        else:
            out.append(char)
    return "".join(out) + quote
