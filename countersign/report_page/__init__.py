"""The report as one HTML page that needs nothing else: no network, no script, readable in light, dark and print."""

from countersign.report_page.page import render, render_mail

__all__ = ["render", "render_mail"]
