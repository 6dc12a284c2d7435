from safelab.app.api import Run as Run
from safelab.app.api import Study as Study
from safelab.app.api import compose as compose
from safelab.app.api import report as report
from safelab.app.api import train as train

__version__: str
