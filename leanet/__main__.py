"""`python -m leanet …`, the same as `leanet …`."""

from leanet.cli import main

if __name__ == "__main__":
    main()
