"""``python -m sv2``: the ``sv2`` command."""

from __future__ import annotations

import sys

from sv2.cli import main

sys.exit(main())
