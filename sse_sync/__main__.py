"""``python -m sse_sync``."""

import sys

from .cli import main

sys.exit(main())
