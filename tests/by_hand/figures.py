"""Writes the figures that a page prints after `<!-- figures: ID -->` into docs/figures.json.

python -m tests.by_hand.figures ID DATE ['COMMAND' ['MACHINE']]

Call it after you have measured them again and changed the page; DATE is the day of the measurement.
If command and machine are not given, they stay what they are.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "docs" / "figures.json"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FIELDS = ("page", "command", "date", "machine")
MARK = re.compile(r"<!-- figures: ([\w-]+) -->\n(.+?)(?=\n\n|\Z)", flags=re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:e[-+]?\d+)?")


def marked(page):
    """Of a page, the id and the block, a table or a paragraph, of each mark."""
    return MARK.findall(page.read_text(encoding="utf-8"))


def figures(block):
    """Of each row of a table, its name and its numbers as they are printed; of a paragraph, one."""
    if not block.startswith("|"):
        return [["", *NUMBER.findall(block)]]
    rows = [line.strip("|").split("|") for line in block.splitlines()]
    found = [[name.strip(), *NUMBER.findall("|".join(cells))] for name, *cells in rows[2:]]
    return [row for row in found if len(row) > 1]


def read():
    """The records by their ids: `page`, `command`, `date`, `machine` and `figures`."""
    return json.loads(RECORDS.read_text(encoding="utf-8"))


def as_json(records):
    """The text of the file; a row of figures is a line."""
    parts = []
    for name, record in sorted(records.items()):
        lines = [f"    {line(field)}: {line(record[field])}" for field in FIELDS]
        rows = ",\n".join(f"      {line(row)}" for row in record["figures"])
        lines.append(f'    "figures": [\n{rows}\n    ]')
        parts.append(f"  {line(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def line(value):
    """JSON on one line, with accents as they are."""
    return json.dumps(value, ensure_ascii=False)


def update(name, date, command=None, machine=None):
    """Records what the page with this mark prints now."""
    records = read()
    ((page, block),) = [
        (page, block) for page in PAGES for id_, block in marked(page) if id_ == name
    ]
    record = records.setdefault(name, {})
    given = {"command": command, "date": date, "machine": machine}
    record.update({field: value for field, value in given.items() if value})
    record.update(page=str(page.relative_to(ROOT)), figures=figures(block))
    RECORDS.write_text(as_json(records), encoding="utf-8")


if __name__ == "__main__":
    update(*sys.argv[1:])
