"""Writes output: `files` whole or not at all, `pictures`, `films` and HTML `pages`."""
