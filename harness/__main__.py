"""`python -m harness`."""

import sys

# Python puts the working folder first on the path. A file there must not answer for a module that Harness imports;
# `main` puts the folder back for the commands that run the user's code.
if not sys.flags.safe_path:
    del sys.path[0]

from harness.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
