"""``python -m npp.cli`` is the command ``npp``, as ``python -m npp`` is."""

from npp.cli import main

if __name__ == "__main__":
    main()
