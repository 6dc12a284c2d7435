"""A report as files: ``report.json``, tables, figures and the page."""

from pathlib import Path

from safelab.errors import DataError
from safelab.results.model import Report
from safelab.results.page.document import write_json
from safelab.results.page.figures import write_figures
from safelab.results.page.html import write_page
from safelab.results.page.tables import write_tables


def save(report: Report, directory: Path) -> Path:
    """Write all of it into ``directory``, which is made; returns the page.

    Raises:
        DataError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(report, directory)
        write_tables(report, directory)
        write_figures(report, directory / "figures")
        return write_page(report, directory)
    except OSError as error:
        raise DataError(f"--output must be writable, got {directory} ({error.strerror}); choose another") from error
