"""Progress bars that leave no trace where they are not drawn."""

from __future__ import annotations

from rich.progress import Progress


class SilentProgress(Progress):
    """Rich's progress bars; disabled ones write nothing at all.

    Before rich 14.3 also those end with an empty line, in the middle of what the commands say.
    """

    def stop(self) -> None:
        if not self.disable:
            super().stop()
