"""Weights that other projects published, read without PyTorch into our networks."""
