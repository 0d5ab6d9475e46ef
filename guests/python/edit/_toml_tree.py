"""A TOML document as a tree that remembers how it was spelled. What surrounds a thing, blanks and
comments, is its `prefix` and `suffix`; None is what is usual there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Key:
    name: str
    # As it was spelled.
    spelling: str | None = None
    # Around all of `a.b.c`, kept with `c`.
    prefix: str | None = None
    suffix: str | None = None
    # Around this part only, at its dots.
    dot_prefix: str = ""
    dot_suffix: str = ""


@dataclass(eq=False)
class Table:
    """A table with a header, one that dotted keys made, one that only headers below it name, or one
    in braces."""

    # By name: each with its key, and a `Table`, a `Tables` or a `Value`.
    items: dict[str, tuple[Key, Any]] = field(default_factory=dict)
    prefix: str | None = None
    suffix: str | None = None
    is_inline: bool = False
    # Named by headers below it only, or made by a dotted key.
    is_implicit: bool = False
    is_dotted: bool = False
    # Which header of the document it has.
    position: int | None = None
    # In braces: whether a comma ends the list, and what is behind it.
    has_comma: bool = False
    trailing: str = ""

    def get(self, name: str) -> Any:
        return self.items[name][1] if name in self.items else None


@dataclass(eq=False)
class Tables:
    """Tables with headers in double brackets."""

    all: list[Table] = field(default_factory=list)


@dataclass(eq=False)
class Value:
    # `text`, `integer`, `float`, `flag`, `time` or `list`.
    kind: str
    value: Any
    spelling: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    # Of a list: whether a comma ends it, and what is behind it.
    has_comma: bool = False
    trailing: str = ""
