"""Holds the edits to the cases in tests/edits.json, or in the file that is named."""

import json
import pathlib
import sys

import edit

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests/edits.json"
    cases = json.loads(pathlib.Path(path).read_text("utf-8"))
    failed = 0
    for n, case in enumerate(cases):
        function = getattr(edit, case["function"])
        try:
            got = {"result": function(case["text"], *case["arguments"])}
            is_good = got["result"] == case.get("result")
        except edit.EditError as error:
            got = {"error": str(error)}
            is_good = "error" in case and case["error"] in got["error"]
        if not is_good:
            failed += 1
            print(f"case {n}: {json.dumps(case)}\n  got {json.dumps(got)}", file=sys.stderr)
    print(f"Python: {len(cases) - failed} of {len(cases)} edits as they should be")
    return 0 if cases and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
