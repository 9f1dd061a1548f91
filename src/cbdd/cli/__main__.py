"""`python -m cbdd.cli`: the same as the command `cbdd`."""

from cbdd.cli.app import main

main()
