"""``autoreduce log``: keywords of many headers, as a table."""

from pathlib import Path

import click

from autoreduce.cli.options import (
    chosen_form,
    complete_keywords,
    deliver,
    files_argument,
    split_commas,
    table_options,
    tell_failures,
    tell_first_of_several,
)


@click.command("log")
@files_argument
@click.option(
    "-k",
    "--keywords",
    multiple=True,
    metavar="K1,K2,...",
    shell_complete=complete_keywords,
    help="Keywords to list, Filename among them [default: all].",
)
@table_options
def command(
    *,
    files: tuple[str, ...],
    keywords: tuple[str, ...],
    output: Path | None,
    as_csv: bool,
    as_json: bool,
    overwrite: bool,
    dry_run: bool,
) -> None:
    r"""List header keywords of FITS files as a table.

    FILES are names and globs, also joined by commas, and folders.  A line of names
    and a line of column numbers stand over aligned columns; a missing or blank value
    is shown as .... and blanks within values as _, so that awk can split the lines.
    The file's name comes first, unless -k places it.  A keyword that no file has is
    named on standard error, with the nearest.  Files that cannot be read are named at the end, and the exit status is 1.

    Example:

    \b
        autoreduce log '*.fit' -k Filename,OBJECT,FILTER,EXPTIME -o HEADER_LOG
        autoreduce log night/ --csv > headers.csv
    """
    from autoreduce.tools.filelists import expand
    from autoreduce.tools.headers import (
        FILENAME,
        header_table,
        is_file_name,
        no_such_keyword,
        read_each,
        unknown_keywords,
    )

    form = chosen_form(as_csv=as_csv, as_json=as_json)
    images = expand(files)
    tell_first_of_several(images)
    headers, reasons = read_each(images)
    wanted = split_commas(keywords)
    for keyword, near in unknown_keywords(headers, wanted).items() if headers else ():
        click.echo(no_such_keyword(keyword, near), err=True)
    if wanted and not any(map(is_file_name, wanted)):
        wanted = [FILENAME, *wanted]
    table = header_table(headers, wanted)
    deliver(table, form, None if dry_run else output, overwrite=overwrite)
    tell_failures(reasons)
