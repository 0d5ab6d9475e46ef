"""Edits of configuration files, as pure functions from the old text to the new one: read the file,
edit its text as often as needed, write it once.

To apply one twice changes nothing more. Lines keep their ends (`\\n` or `\\r\\n`), new ones get that
of the first line, and a file without a final newline stays without one. What cannot be edited is an
`EditError`, whose words a recipe may pass on as they are.
"""

from ._error import EditError
from ._ini import ini_remove, ini_set
from ._json import json_merge
from ._lines import block, line_absent, line_key, line_present
from ._toml import toml_merge

__all__ = [
    "EditError",
    "block",
    "ini_remove",
    "ini_set",
    "json_merge",
    "line_absent",
    "line_key",
    "line_present",
    "toml_merge",
]
