"""The what-if page: what a policy makes of recorded cases, and what other thresholds would, as one HTML file."""

from countersign.whatif_page.page import WhatIf, render

__all__ = ["WhatIf", "render"]
