"""`python -m webhookd.cli`, where the `webhookd` script is not on the path."""

import sys

from webhookd.cli import main

sys.exit(main())
