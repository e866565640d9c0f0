"""`python -m ragprof` is the command `ragprof`."""

from ragprof.cli.app import main

main()
