"""The sections of report.md; `search/report/report.py` lists them in their order."""
