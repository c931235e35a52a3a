"""``python -m kolossos``."""

from kolossos.cli.main import main

main()
