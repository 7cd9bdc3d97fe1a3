"""One thread per test process: pytest-xdist fills the cores, and threads that wait for each other slow them tenfold."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
