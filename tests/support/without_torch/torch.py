"""With this folder first on PYTHONPATH a process finds no torch."""

raise ModuleNotFoundError("No module named 'torch'", name="torch")
