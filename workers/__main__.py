"""`python -m workers` is the `countersign` command: how the supervisor starts its roles."""

from workers.main import main

main()
