"""The page on GeoTex prints what the kept measures say, and the tables are right."""

from tests.by_hand import study_tables
from tests.support import commands


def test_the_page_has_the_tables_of_the_measures():
    page = (commands.ROOT / "docs" / "geotex.md").read_text(encoding="utf-8")
    tables = study_tables.tables(commands.ROOT / "studies" / "cpu")
    assert len(tables) == 4
    for table in tables:
        assert table in page


def test_a_table_in_markdown():
    assert study_tables.as_table([["a", "b"], ["1", ""]]) == "| a | b |\n|---|---|\n| 1 |  |"
