"""``autoreduce arith``: arithmetic of images and numbers."""

from pathlib import Path

import click

from autoreduce.cli.options import (
    chosen_region,
    complete_images,
    dry_run_option,
    from_home,
    overwrite_option,
    section_options,
    split_commas,
    tell_first_of_several,
)


@click.command("arith", context_settings={"ignore_unknown_options": True})
@click.argument("expression", nargs=-1, required=True, shell_complete=complete_images)
@click.option(
    "-o",
    "--output",
    multiple=True,
    required=True,
    metavar="NAME|NAMES|ROOT",
    help="A name; as many names as images, joined by commas; or a root that takes "
    "the place of what stands before the number of each image.",
)
@section_options
@click.option("--trim", is_flag=True, help="Write only the section.")
@overwrite_option
@dry_run_option
def command(
    *,
    expression: tuple[str, ...],
    output: tuple[str, ...],
    section: str | None,
    bounds: tuple[int, ...] | None,
    cube_bounds: tuple[int, ...] | None,
    trim: bool,
    overwrite: bool,
    dry_run: bool,
) -> None:
    r"""Compute images from images and numbers.

    EXPRESSION is made of images (names, globs, lists joined by commas), numbers,
    brackets and the operators + - x * / with blanks around them; `IMAGE = NUMBER`
    sets every pixel.  Of two lists the first goes with the first and so on; a single
    image or number goes with each.  Write x, or quote *, for a product.

    Types grow so that nothing wraps around; UNCERT planes are propagated; division by
    zero gives NaN, and is counted.

    Example:

    \b
        autoreduce arith '2021.00[1-5]?.fit' - mean_bias.fit -o bsub
        autoreduce arith mean_dark180.fit x 0.25 -o dark1sec.fit
        autoreduce arith '(light.fit - dark.fit) / flat.fit' -o reduced.fit
        autoreduce arith image.fit = 0 -b 600 1100 400 700 -o blanked.fit
    """
    from autoreduce.tools.arith import describe, plan_arithmetic, run_step
    from autoreduce.tools.expression import parse
    from autoreduce.tools.products import Image

    for word in expression:
        if word.startswith("--") and not Path(word).exists():
            raise click.NoSuchOption(word)
    node = parse(expression)
    region = chosen_region(section, bounds, cube_bounds)
    if trim and region is None:
        msg = "--trim needs a section (-b, -B or --section)"
        raise click.UsageError(msg)
    steps = plan_arithmetic(node, list(map(from_home, split_commas(output))))
    tell_first_of_several(image for step in steps for image in step.images.values())
    known: dict[str, Image] = {}
    for step in steps:
        text = f"{describe(node, step.images)} -> {step.output}"
        if dry_run:
            click.echo(text)
            continue
        result = run_step(
            node, step, region=region, trim=trim, known=known, overwrite=overwrite
        )
        told = {
            "divisions by zero": result.n_undefined,
            "values too large, infinite": result.n_overflown,
        }
        words = [f"{n} {what}" for what, n in told.items() if n]
        click.echo(f"{text} ({', '.join(words)})" if words else text)
