"""Does attention help geometry more than texture? And the paper's own comparisons.

`plans` lists what to train, `runs` trains it, `measures` looks at every checkpoint, `findings`
compares arms with `statistics`, and `report` writes it all as one page.
"""
