"""TOML files."""

from __future__ import annotations

from typing import Any

from ._error import EditError
from ._json import from_value
from ._lines import with_ends_of
from ._toml_parse import parse
from ._toml_tree import Key, Table, Value
from ._toml_write import document

_KINDS = {str: "text", int: "integer", float: "float", bool: "flag"}


def toml_merge(text: str, patch: Any) -> str:
    """Merges `patch`, which is what `json.loads` gives, into a TOML document as RFC 7396 says for
    JSON: a dict is merged into a table key by key, `None` takes a key away, and anything else
    replaces what is there. Comments, order and spelling of all that is not named stay, and so does
    the comment behind a value. A document that says all of it already stays as it is, byte for
    byte."""
    try:
        root, trailing = parse(text)
    except EditError as error:
        raise EditError(f"it is no TOML: {error}") from None
    wanted = from_value(patch)
    if not isinstance(wanted, dict):
        raise EditError("a TOML document is a table: expected an object to merge")
    is_changed = _merge(root, wanted, False)
    return with_ends_of(text, document(root, trailing)) if is_changed else text


def _merge(table: Table, patch: dict[str, Any], is_inline: bool) -> bool:
    """Merges into a table; whether that changed it."""
    is_changed = False
    for key, wanted in patch.items():
        try:
            is_changed = _merge_key(table, key, wanted, is_inline) or is_changed
        except EditError as why:
            raise EditError(f"`{key}`: {why}") from None
    return is_changed


def _merge_key(table: Table, key: str, wanted: Any, is_inline: bool) -> bool:
    there = table.get(key)
    if wanted is None:
        return table.items.pop(key, None) is not None
    if isinstance(wanted, dict):
        is_table = isinstance(there, Table)
        if not is_table:
            there = Table(is_inline=is_inline)
            _put(table, key, there)
        return _merge(there, wanted, there.is_inline) or not is_table
    made = _value_of(wanted)
    if not isinstance(there, Value) and not (isinstance(there, Table) and there.is_inline):
        _put(table, key, made)
        return True
    if _is_same(there, made):
        return False
    made.prefix, made.suffix = there.prefix, there.suffix
    table.items[key] = (table.items[key][0], made)
    return True


def _put(table: Table, name: str, item: Any) -> None:
    """In place of what is there, but spelled anew, or at the end."""
    table.items[name] = (Key(name), item)


def _value_of(json: Any) -> Value | Table:
    """What a patch says, as a value."""
    if json is None:
        raise EditError("TOML knows no null within a list")
    if isinstance(json, list):
        return Value("list", [_value_of(item) for item in json])
    if isinstance(json, dict):
        table = Table(is_inline=True)
        for key, inner in json.items():
            try:
                _put(table, key, _value_of(inner))
            except EditError as why:
                raise EditError(f"`{key}`: {why}") from None
        return table
    kind = _KINDS[type(json)]
    if kind == "integer" and json >= 2**63:
        raise EditError(f"TOML knows no number as large as {json}")
    return Value(kind, json)


def _is_same(a: Any, b: Any) -> bool:
    """Whether two values are the same, however they are spelled."""
    if isinstance(a, Table) and isinstance(b, Table):
        same_keys = a.items.keys() == b.items.keys()
        return same_keys and all(_is_same(item, b.get(key)) for key, (_, item) in a.items.items())
    if isinstance(a, Table) or isinstance(b, Table) or a.kind != b.kind or a.kind == "time":
        return False
    if a.kind == "list":
        return len(a.value) == len(b.value) and all(map(_is_same, a.value, b.value))
    return a.value == b.value
