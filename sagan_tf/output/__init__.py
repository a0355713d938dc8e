"""Writes output: `files` whole or not at all, `pictures` with several images, HTML `pages`."""
