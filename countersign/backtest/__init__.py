"""The backtest: recorded decisions decided again under another policy, a million in seconds.

It imports numpy, so commands import it only when they are called.
"""

from countersign.backtest.figures import Backtest, CategoryFigures, Changed, Range, Worth, backtest
from countersign.backtest.history import History
from countersign.backtest.replay import Replay, Ruling, replay
from countersign.circumstances import Circumstances, PastDecision

__all__ = [
    "Backtest",
    "CategoryFigures",
    "Changed",
    "Circumstances",
    "History",
    "PastDecision",
    "Range",
    "Replay",
    "Ruling",
    "Worth",
    "backtest",
    "replay",
]
