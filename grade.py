"""python grade.py 1102444016.tar.gz: grade a submission. `--help` shows the rest."""

import sys

from grader.cli import main

if __name__ == "__main__":
    sys.exit(main())
