"""Does attention help geometry more than texture? And the paper's own comparisons.

`plans` and `ablation` list what to train. `work` does what is left of a plan: `runs` trains,
`readings` looks at every checkpoint (at images' `patches` among other things). `findings` compares
the runs, `significance` says how sure that is, and `reporting` writes the page of that kind of
study: `geotex_report`, `ablation_report` or `score_report`.
"""
