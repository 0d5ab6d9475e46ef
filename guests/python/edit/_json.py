"""JSON files."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ._error import EditError
from ._lines import BLANK, lines_of, with_ends_of

# As deep as objects and lists may hold each other.
_DEPTH = 127
# Escapes that are whole, and half of a pair, which Python lets through but cannot encode.
_WHOLE_ESCAPE = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def json_merge(text: str, patch: Any) -> str:
    """Merges `patch`, which is what `json.loads` gives, into a JSON document as RFC 7396 says: an
    object is merged key by key, `None` takes a key away, and anything else replaces what is there.
    Keys keep their order and the text its indentation; what is of an unusual layout gets one value a
    line. A document that says all of it already stays as it is, byte for byte. Whole numbers beyond
    64 bits become floats."""
    is_blank = not text.strip(BLANK)
    old = {} if is_blank else _parse(text)
    made = _merged(old, from_value(patch))
    if not is_blank and _is_same(made, old):
        return text
    return with_ends_of(text, _write(made, _indentation(text), "\n") + "\n")


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    made = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            # A key that is there keeps its place: the order is what a person knows the file by.
            made[key] = _merged(made.get(key), value)
    return made


def _indentation(text: str) -> str:
    """What the first line that is indented is indented with."""
    for line in lines_of(text):
        blanks = re.match(r"[ \t]+", line)
        if blanks and line.strip(BLANK):
            return blanks[0]
    return "  "


def _parse(text: str) -> Any:
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_float, parse_constant=_constant)
        _check(value, 0)
        if _HALF.search(_WHOLE_ESCAPE.sub(" ", text)):
            raise ValueError("half of a pair of `\\u`")
    except (ValueError, RecursionError) as error:
        raise EditError(f"it is no JSON: {error}") from None
    return value


def _whole(digits: str) -> int | float:
    # Longer ones are beyond 64 bits in any case.
    if digits != "-0" and len(digits) <= 20 and _is_word(int(digits)):
        return int(digits)
    return _float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits:.20} is out of range")
    return value


def _constant(word: str) -> None:
    raise ValueError(f"`{word}` is no value")


def _check(value: Any, depth: int) -> None:
    """Refuses what is too deep, long before it is too deep for Python."""
    if isinstance(value, (dict, list)):
        if depth >= _DEPTH:
            raise ValueError("it is too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)


def _is_word(whole: int) -> bool:
    """Whether 64 bits hold it, with a sign or without."""
    return -(2**63) <= whole < 2**64


def from_value(value: Any) -> Any:
    """A patch as its document would have it; raises if it holds what JSON does not have."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if _is_word(value) else float(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [from_value(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: from_value(item) for key, item in value.items()}
    raise EditError(f"the patch holds what JSON does not have: {value!r}")


def _is_same(a: Any, b: Any) -> bool:
    # In Python, `1 == 1.0 == True`.
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return a == b


def _write(value: Any, indent: str, margin: str) -> str:
    """One value a line, each depth indented by `indent`."""
    inner = margin + indent
    if isinstance(value, list):
        items = [inner + _write(item, indent, inner) for item in value]
        return f"[{','.join(items)}{margin}]" if items else "[]"
    if isinstance(value, dict):
        items = [
            f"{inner}{_write(key, indent, inner)}: {_write(item, indent, inner)}"
            for key, item in value.items()
        ]
        return f"{{{','.join(items)}{margin}}}" if items else "{}"
    if isinstance(value, float):
        return float_text(value)
    return json.dumps(value, ensure_ascii=False)


def float_text(value: float) -> str:
    """A float with its fraction: `1.0`, not `1`; with an exponent where it is long."""
    sign, digits, point = _decimal(value)
    if -5 < point <= 16:
        return sign + _with_point(digits, point)
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'+' if point > 0 else ''}{point - 1}"


def _decimal(value: float) -> tuple[str, str, int]:
    """Its sign, the fewest digits that are this float, and how many of them are before the point."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    all_digits = whole + fraction
    digits = all_digits.lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(all_digits) - len(digits))
    sign = "-" if math.copysign(1, value) < 0 else ""
    return (sign, digits.rstrip("0"), point) if digits else (sign, "0", 1)


def _with_point(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    padded = digits.ljust(point + 1, "0")
    return f"{padded[:point]}.{padded[point:]}"
