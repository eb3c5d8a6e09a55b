"""Training with Lightning; needs the extra ``npp[train]``."""
