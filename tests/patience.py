"""How long a test waits at most for what is to come. Not a test."""

HANG_S = 150.0
"""Only what hangs takes this long: no wait comes near a tenth of it on an idle machine, and a busy one has time."""
