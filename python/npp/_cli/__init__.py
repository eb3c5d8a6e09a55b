"""The parts of the command line; :mod:`npp.cli` is its entrance."""
