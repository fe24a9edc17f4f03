"""To be imported first by what logs: libraries that take others along do not.

structlog takes rich along, for tracebacks in colours: 5 MB a process. Functions of operators that use rich
import it as ever.
"""

from webhookd.runtime.importing import import_without

import_without("rich", "structlog")
