"""What becomes of a webhook that a provider sends, or somebody who claims to be it."""

from enum import Enum, auto


class Receipt(Enum):
    """TAKEN: the job is looked at, if it has not ended. TOO_EARLY: there is no such order yet. NOT_CHECKED: the
    provider's keys cannot be read."""

    TAKEN = auto()
    NOT_WANTED = auto()
    MALFORMED = auto()
    NOT_SIGNED = auto()
    OTHER_ORDER = auto()
    TOO_EARLY = auto()
    NOT_CHECKED = auto()
