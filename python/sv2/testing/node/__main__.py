"""``python -m sv2.testing.node``."""

import sys

from sv2.testing.command import main

sys.exit(main())
