"""Converts weights that other projects published.

`torch_files` reads PyTorch's files without PyTorch, with `pickles`, which runs no code in them.
`projects` has the projects' names of layers, `entries` takes their tensors one by one, and
`networks` makes networks of this package from them.
"""
