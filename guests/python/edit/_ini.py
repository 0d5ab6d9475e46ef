"""Values of INI files: sections in brackets, `key = value`, comments after `;` or `#`."""

from __future__ import annotations

from ._lines import BLANK, Lines


def ini_set(text: str, section: str, key: str, value: str) -> str:
    """Has `key` of a section have this value; the keys before the first section are of the section
    named by the empty text. A line that is there keeps its place and its spelling of `=`; others of
    the same key in that section go. What is missing is added at the section's end."""
    lines = Lines(text)
    found = _places(lines, section, key)
    if found:
        line, end = lines.all[found[0]]
        before, _, after = line.partition("=")
        blank = " " if after.startswith(" ") else ""
        lines.all[found[0]] = (f"{before}={blank}{value}", end)
        lines.remove(found[1:])
        return lines.join()
    at = _end_of_section(lines, section)
    if at is None:
        lines.insert(len(lines.all), f"[{section}]")
        at = len(lines.all)
    lines.insert(at, f"{key} = {value}")
    return lines.join()


def ini_remove(text: str, section: str, key: str) -> str:
    """Has `key` of a section not be there. The section stays."""
    lines = Lines(text)
    lines.remove(_places(lines, section, key))
    return lines.join()


def _header(line: str) -> str | None:
    """The section that a line begins."""
    name, bracket, _ = line.strip(BLANK).removeprefix("[").partition("]")
    return name.strip(BLANK) if bracket and line.lstrip(BLANK).startswith("[") else None


def _places(lines: Lines, section: str, key: str) -> list[int]:
    """The lines of a key, in every stretch of its section."""
    within = ""
    found = []
    for n, line in enumerate(lines.texts()):
        name, equals, _ = line.partition("=")
        header = _header(line)
        if header is not None:
            within = header
        elif within == section and equals and not line.lstrip(BLANK).startswith(("#", ";")):
            if name.strip(BLANK) == key:
                found.append(n)
    return found


def _end_of_section(lines: Lines, section: str) -> int | None:
    """Where a line is added to a section: after the last of its first stretch that is not blank."""
    headers = [_header(line) for line in lines.texts()]
    if section and section not in headers:
        return None
    first = headers.index(section) + 1 if section else 0
    at = first
    while at < len(headers) and headers[at] is None:
        at += 1
    while at > first and not lines.all[at - 1][0].strip(BLANK):
        at -= 1
    return at
