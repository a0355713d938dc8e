"""`python -m pytest` runs the tests, `python -m tests.by_hand.NAME` what takes longer."""
