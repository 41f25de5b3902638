"""``python -m themis_tui``."""

import sys

from themis_tui.main import main

sys.exit(main())
