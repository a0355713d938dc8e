"""How fast it is here: `timing` measures, `cases` says what, `__main__` is the command."""
