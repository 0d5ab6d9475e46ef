"""A TOML document as a tree."""

from __future__ import annotations

from ._toml_read import Reader
from ._toml_tree import Key, Table, Tables, Value


def parse(text: str) -> tuple[Table, str]:
    """The tables, and what is behind all of them; raises why it is no TOML."""
    reader = Reader(text)
    root = table = Table()
    header: tuple[list[Key], bool] | None = None
    position = 0
    while True:
        prefix = reader.blanks_and_comments()
        is_at_end = reader.is_at_end()
        if (is_at_end or reader.is_at("[")) and header is not None:
            _place(reader, root, *header, table)
        if is_at_end:
            return root, prefix
        if reader.is_at("["):
            path, is_of_many = header = reader.header()
            suffix = reader.end_of_line()
            table = Table() if is_of_many else _taken(reader, root, path)
            table.is_implicit = False
            table.prefix, table.suffix = prefix, suffix
            position += 1
            table.position = position
        else:
            path = reader.path()
            path[-1].prefix, path[-1].suffix = prefix, reader.blanks()
            reader.expect("=")
            before = reader.blanks()
            value = reader.value(0)
            value.prefix, value.suffix = before, reader.end_of_line()
            _add(reader, table, path, value)


def _taken(reader: Reader, root: Table, path: list[Key]) -> Table:
    """The table that a header begins: a new one, or the one that headers below it have named."""
    parent = _descend(reader, root, path[:-1], False)
    name = path[-1].name
    there = parent.get(name)
    if there is None:
        return Table()
    if not isinstance(there, Table) or there.is_inline or not there.is_implicit or there.is_dotted:
        reader.fail(f"duplicate key `{name}`")
    del parent.items[name]
    return there


def _place(reader: Reader, root: Table, path: list[Key], is_of_many: bool, table: Table) -> None:
    """Puts a table that is read to its end where its header says."""
    parent = _descend(reader, root, path[:-1], False)
    key = path[-1]
    if not is_of_many:
        parent.items[key.name] = (key, table)
        return
    there = parent.items.setdefault(key.name, (key, Tables()))[1]
    if not isinstance(there, Tables):
        reader.fail(f"duplicate key `{key.name}`")
    there.all.append(table)


def _add(reader: Reader, table: Table, path: list[Key], value: Value | Table) -> None:
    is_dotted = len(path) > 1
    parent = _descend(reader, table, path[:-1], is_dotted)
    key = path[-1]
    if (is_dotted and not parent.is_implicit) or key.name in parent.items:
        reader.fail(f"duplicate key `{key.name}`")
    parent.items[key.name] = (key, value)


def _descend(reader: Reader, table: Table, path: list[Key], is_dotted: bool) -> Table:
    """The table at the end of a path, whose missing parts are made."""
    for key in path:
        there = table.get(key.name)
        if there is None:
            there = Table(is_implicit=True, is_dotted=is_dotted)
            table.items[key.name] = (key, there)
        elif isinstance(there, Tables):
            there = there.all[-1]
        elif isinstance(there, Value) or there.is_inline or (is_dotted and not there.is_implicit):
            reader.fail(f"`{key.name}` cannot be extended")
        else:
            there.is_dotted = there.is_dotted or is_dotted
        table = there
    return table
