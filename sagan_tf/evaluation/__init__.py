"""Scores of generated images: images -> features -> statistics -> numbers."""
