"""The commands ``rules show`` and ``rules check``: what is alike, and what may serve."""

from pathlib import Path

import click

from autoreduce.cli.options import FilePath

_FILE = FilePath(exists=True, dir_okay=False)


@click.group()
def command() -> None:
    r"""Show or check the rules of grouping and matching.

    Rules say which frames may be combined, and which masters may serve a frame.  A
    file of your own, given with --rules, holds only what is to be different.

    Example:

    \b
        autoreduce rules show > all_rules.toml
        autoreduce rules check my.toml
        autoreduce plan ./night/ --rules my.toml
    """


@command.command()
def show() -> None:
    r"""Print the built-in rules, with what each means, as a TOML file.

    Example:

    \b
        autoreduce rules show
    """
    from autoreduce.planning.rules import rules_text

    click.echo(rules_text(), nl=False)


@command.command()
@click.argument("rules", type=_FILE, metavar="TOML")
def check(rules: Path) -> None:
    r"""Check a file of your own, and say which rules it changes.

    Example:

    \b
        autoreduce rules check my.toml
    """
    from autoreduce.planning.rules import changed_rules, load_rules

    changed = changed_rules(load_rules(rules))
    if not changed:
        click.echo(f"{rules} is valid and changes nothing.")
    for name, built_in, own in changed:
        click.echo(f"{name}: {built_in} -> {own}")
