"""The page on GeoTex prints what the kept measures say, and the tables are right."""

import pytest

from tests.by_hand import study_tables
from tests.support import commands

PAGE = (commands.ROOT / "docs" / "geotex.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", study_tables.tables(commands.ROOT / "studies" / "cpu"))
def test_the_page_has_the_tables_of_the_measures(table):
    assert table in PAGE


def test_a_table_in_markdown():
    assert study_tables.as_table([["a", "b"], ["1", ""]]) == "| a | b |\n|---|---|\n| 1 |  |"
