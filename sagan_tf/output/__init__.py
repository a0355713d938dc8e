"""Files written whole or not at all; pictures and pages that go into them."""
