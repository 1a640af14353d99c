"""`python -m massager`."""

import sys

from massager.cli import main

sys.exit(main())
