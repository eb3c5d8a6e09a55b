"""``python -m npp`` is the command ``npp``."""

import sys

if __name__ == "__main__":
    try:
        from npp.cli import main

        main()
    except KeyboardInterrupt:  # while it is loaded
        sys.exit(130)
