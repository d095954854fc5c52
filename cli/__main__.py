"""`python -m cli …`: what the launcher hands over to."""

import sys

from cli.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
