"""The report as one HTML page that needs nothing else: no network, no script, readable in light, dark and print."""

from countersign.report_page.page import render

__all__ = ["render"]
