"""Weights that other projects published.

`torch_files` reads PyTorch's files without PyTorch, as `pickles` without what could be run in them.
`projects` knows how the projects name layers, `entries` takes their tensors one by one, and
`networks` makes our networks of them.
"""
