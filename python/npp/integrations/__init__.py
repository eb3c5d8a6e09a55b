"""npp inside other people's software: thin modules, each imported alone and only when it is asked for.

Nothing here is imported by ``import npp``, and no module here imports another. A package that a module
needs and that is missing is named in the error, with the extra of npp that brings it.
"""
