"""From Datasets to pages, figures, and text for a mail; nothing is computed here."""

from numalab.report.page import Page

__all__ = ["Page"]
