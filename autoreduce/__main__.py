"""Run as ``python -m autoreduce``."""

from autoreduce.cli import main

main()
