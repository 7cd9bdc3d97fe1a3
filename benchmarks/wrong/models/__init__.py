"""Wrong versions of whole models and of their files."""
