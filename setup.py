from setuptools import setup

setup()  # Everything is in pyproject.toml.
