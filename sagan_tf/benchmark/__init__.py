"""How fast it is here: `timing` measures, `cases` names the comparisons, `__main__` is the command.

What is timed stands in `training_cases`, `sampling_cases`, `start_cases` and `score_cases`, on
networks of `networks`.
"""
