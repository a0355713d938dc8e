"""Studies: whether attention helps geometry more than texture, and the paper's own comparisons.

`plans` and `ablation` list the runs of a study. `work` does what is left of a plan: `runs` trains,
and `readings` measures every checkpoint (with `patches` for textures). `findings` compares the
runs, `significance` tests the differences, and `reporting` writes the page for each kind of study:
`geotex_report` (with plots of `curves`), `ablation_report` or `score_report`.
"""
