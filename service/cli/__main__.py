"""`python -m service.cli` is `tsuika`."""

import sys

from service.cli import main

sys.exit(main())
