"""Harness: a falsification harness for language-model implementations."""

__version__ = "0.1.0"
