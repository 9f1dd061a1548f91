"""`python -m daily_measurements`."""

from daily_measurements.cli import main

raise SystemExit(main())
