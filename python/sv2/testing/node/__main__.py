"""``python -m sv2.testing.node``."""

import sys

from sv2.testing.node.cli import main

sys.exit(main())
