"""Progress in whole steps, each larger than the one before, as the protocol asks: a percentage where one is told."""

from dataclasses import dataclass

QUIET_S = 5.0
"""So long nothing is reported where not a whole percent was done."""
PERCENT = 100


@dataclass
class ProgressSteps:
    """What was reported last of one call."""

    step: int = 0
    status: str = ""
    at_s: float = 0.0

    def next(self, progress: float | None, status: str, now_s: float) -> tuple[int, int | None] | None:
        """The step to report and of how many, where that is known; None where there is nothing new to say."""
        step = int(progress or 0)
        if step <= self.step:
            if self.step and progress and status == self.status and now_s - self.at_s < QUIET_S:
                return None
            step = self.step + 1
        self.step, self.status, self.at_s = step, status, now_s
        return step, PERCENT if progress and step <= PERCENT else None
