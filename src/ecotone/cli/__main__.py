"""``python -m ecotone.cli``: the command line without its script."""

from ecotone.cli import main

main()
