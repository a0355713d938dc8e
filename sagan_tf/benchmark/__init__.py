"""Benchmarks on this machine: `timing` measures, and `cases` lists the comparisons.

The timed code is in `training_cases`, `sampling_cases`, `start_cases` and `score_cases`, with
networks from `networks`. `__main__` is the command.
"""
