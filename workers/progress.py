"""Progress: a bar on the terminal of whoever waits, drawn over itself; nothing where nobody looks."""

from __future__ import annotations

import sys

_BAR = 30


class Bar:
    """A bar on stderr; silent where that is no terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def draw(self, share: float, words: str) -> None:
        """From 0 to 1, with what was done so far."""
        if self._terminal:
            self._drawn = True
            bar = "█" * round(share * _BAR)
            sys.stderr.write(f"\r{bar:░<{_BAR}} {share:4.0%}  {words}")
            sys.stderr.flush()

    def end(self) -> None:
        """Leaves it as it is, and goes on below."""
        if self._drawn:
            sys.stderr.write("\n")
        self._drawn = False
