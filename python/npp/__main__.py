"""``python -m npp`` is the command ``npp``."""

from npp.cli import main

if __name__ == "__main__":
    main()
