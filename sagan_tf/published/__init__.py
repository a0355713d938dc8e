"""Weights that other projects published.

`torch_files` reads PyTorch's files without PyTorch, `networks` knows which tensor belongs where.
"""
