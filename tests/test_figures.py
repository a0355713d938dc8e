"""Measured figures on the pages are those that docs/figures.json records with their command."""

import datetime
import re

import pytest

from tests.by_hand import figures

RECORDS = figures.read()
TABLE = re.compile(r"(?:(.*)\n)?((?:^\|.*\n)+)", flags=re.MULTILINE)
# A cell beside the first one that begins with a decimal fraction claims a measurement.
MEASURED = re.compile(r"^\|[^|\n]*\|(?:[^|\n]*\|)*? [-+]?\d[\d,]*\.\d", flags=re.MULTILINE)


@pytest.mark.parametrize("page", figures.PAGES, ids=lambda page: page.stem)
def test_pages_print_what_was_recorded(page):
    for name, block in figures.marked(page):
        record = RECORDS[name]
        assert record["page"] == str(page.relative_to(figures.ROOT))
        assert figures.figures(block) == record["figures"], (
            f"{page.name} prints other figures than docs/figures.json has as {name!r}. Measure "
            f"them by `{record['command']}` and call `python -m tests.by_hand.figures {name} DATE`."
        )


@pytest.mark.parametrize("page", figures.PAGES, ids=lambda page: page.stem)
def test_tables_of_measurements_are_marked(page):
    for before, table in TABLE.findall(page.read_text(encoding="utf-8")):
        if MEASURED.search(table):
            assert before.startswith("<!-- figures: "), f"{page.name}: no mark before\n{table}"


def test_records_are_whole_and_used():
    assert RECORDS.keys() == {name for page in figures.PAGES for name, _ in figures.marked(page)}
    for record in RECORDS.values():
        assert record["command"]
        assert record["machine"]
        datetime.date.fromisoformat(record["date"])
    assert figures.RECORDS.read_text(encoding="utf-8") == figures.as_json(RECORDS)


def test_numbers_are_found_as_they_are_printed():
    block = "| what | value |\n|---|---|\n| a 4x4 map | 0.78 (0.73 to 1,843), 3e-6 |\n| none | x4 |"
    assert figures.figures(block) == [["a 4x4 map", "0.78", "0.73", "1,843", "3e-6"]]
    assert figures.figures("in 300 s: 136,278, of v2 -0.5") == [["", "300", "136,278", "-0.5"]]
