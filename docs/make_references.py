"""Write the pages of reference from the code: columns, cards, settings, options.

python docs/make_references.py           # into docs/reference
python docs/make_references.py --check   # are those that are there still true?
"""

import argparse
import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module, resources
from pathlib import Path
from pkgutil import walk_packages
from typing import get_args, get_type_hints

import click

import autoreduce
from autoreduce.cli import cli
from autoreduce.frames.measured import MEASURED
from autoreduce.frames.schema import EVIDENCE_COLUMNS, FRAME_COLUMNS, ImageType
from autoreduce.pixels.flags import MEANINGS
from autoreduce.planning.plan import PLAN_VERSION, FrameInput, Plan, Task, Verdict
from autoreduce.planning.recipe import Recipe, load_recipe
from autoreduce.planning.rules import Rules
from autoreduce.products.lightlist import LIGHT_COLUMNS
from autoreduce.products.provenance import FACT_CARDS
from autoreduce.remarks import Remark
from autoreduce.running.execute import Outcome

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- made by docs/make_references.py from the code: change it there -->"

BARE = {
    "AMPn": "what was done to an amplifier",
    "MISSING": "steps left out for want of a master",
    "LTVn": "pixels that a trim has taken off, the other way round",
    "MASKBITn": "meaning of a bit, below",
}
"""What cards say whose values leave no room for a comment."""

Rows = Iterable[Sequence[object]]


def page(title: str, *parts: str) -> str:
    """Put a page together."""
    return "\n\n".join([f"# {title}", MADE, *parts]) + "\n"


def listing(head: Sequence[str], rows: Rows) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in lines)


def _cell(value: object) -> str:
    text = " ".join(str(value).split())
    return text.replace("|", "\\|").replace("<", "\\<")


def attribute_docs(cls: type) -> dict[str, str]:
    """Read what stands under the attributes of a class."""
    (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body
    docs = {}
    assert isinstance(node, ast.ClassDef)
    for one, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(one, ast.AnnAssign | ast.Assign) and isinstance(after, ast.Expr):
            target = one.target if isinstance(one, ast.AnnAssign) else one.targets[0]
            if isinstance(target, ast.Name) and isinstance(after.value, ast.Constant):
                docs[target.id] = str(after.value.value)
    return docs


def tables() -> str:
    """List the columns of the tables."""
    columns = ("column", "type", "unit", "what it is")
    frames = [(f"`{c.name}`", c.dtype, c.unit, c.doc) for c in FRAME_COLUMNS]
    lights = [(f"`{c.name}`", c.unit, c.doc) for c in LIGHT_COLUMNS]
    names = ", ".join(f"`{one}`" for one in ImageType)
    return page(
        "Tables",
        "## frames.csv",
        f"One row for each image. `imagetyp` is one of {names}.",
        listing(columns, frames),
        "## lights.csv",
        "One row for each calibrated light.",
        listing(("column", "unit", "what it is"), lights),
        "## evidence.csv",
        "Which keyword gave a fact, and which say otherwise: "
        + ", ".join(f"`{name}`" for name in EVIDENCE_COLUMNS)
        + ".",
    )


def plan() -> str:
    """List what plan.json holds."""
    return page(
        "plan.json",
        f"Every task, and why each master was or was not taken; `version` is "
        f"{PLAN_VERSION}.  A run adds `outcomes`, by the output of the task.",
        "## The plan",
        _members(Plan),
        "## A task, in `tasks`",
        _members(Task),
        "## A frame, in `frames` of a task",
        _members(FrameInput),
        "## A verdict, in `verdicts`",
        _members(Verdict),
        "## An outcome, in `outcomes`",
        _members(Outcome),
        "## A remark, wherever something is told",
        listing(
            ("key", "what it is"),
            [(f"`{name}`", words) for name, words in attribute_docs(Remark).items()],
        ),
    )


def _members(cls: type) -> str:
    docs = attribute_docs(cls)
    return listing(
        ("key", "what it is"),
        [(f"`{one.name}`", docs[one.name]) for one in fields(cls)],
    )


def cards() -> str:
    """List the cards of products, and the bits of their masks."""
    facts = [(f"`{card}`", words, f"column `{name}`")
             for name, (card, words) in FACT_CARDS.items()]  # fmt: skip
    measured = [(f"`{one.keyword}`", one.comment, f"column `{one.name}`")
                for one in MEASURED if one.keyword]  # fmt: skip
    bits = [(f"`MASKBIT{flag.bit_length() - 1}`", int(flag), meaning)
            for flag, meaning in MEANINGS.items()]  # fmt: skip
    return page(
        "Header cards",
        "Products keep the cards of the frames that they are made from, and have these.",
        "## What the frames are",
        listing(("card", "what it says", "in frames.csv"), facts),
        "## What was measured of a light",
        listing(("card", "what it says", "in lights.csv"), measured),
        "## What was done",
        listing(("card", "what it says"), _by_card(sorted(set(_written_cards())))),
        "## Bits of MASK",
        "A pixel of a `MASK` plane is the sum of what holds for it; 0 is a good pixel.",
        listing(("card", "bit", "meaning"), bits),
    )


def _written_cards() -> Iterator[tuple[str, str]]:
    """Find the cards that the code writes into products, with their comments."""
    for info in walk_packages(autoreduce.__path__, "autoreduce."):
        if info.name.split(".")[1] not in ("products", "calibration", "pixels", "fits"):
            continue
        module = import_module(info.name)
        tree = ast.parse(inspect.getsource(module))
        loops = [names for node in ast.walk(tree) for names in _loops(node)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Card":
                name, _, comment, *_ = (*node.args, None, None)
                for card, words in _texts(name, comment, vars(module), loops):
                    if card != "HIERARCH":
                        yield f"`{card}`", words.strip(".") or BARE.get(card, "")


def _loops(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Give what stands first in the rows that a loop goes through, with its name."""
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
        target = node.target.elts[0] if isinstance(node.target, ast.Tuple) else None
        for row in node.iter.elts:
            if isinstance(target, ast.Name) and isinstance(row, ast.Tuple):
                yield target.id, _literal(row.elts[0])


def _texts(
    name: ast.expr | None,
    comment: ast.expr | None,
    known: Mapping[str, object],
    loops: Sequence[tuple[str, str]],
) -> Iterator[tuple[str, str]]:
    """Give name and comment of a card, as far as they are known before it runs."""
    used = (
        {one.id for one in ast.walk(name) if isinstance(one, ast.Name)} if name else ()
    )
    values = [{key: value} for key, value in loops if key in used] or [{}]
    for value in values:
        card = _evaluated(name, {**known, **value})
        if card and re.fullmatch(r"[A-Z][\w-]{,7}", card):
            yield card, _evaluated(comment, {**known, **value})


def _evaluated(node: ast.expr | None, known: Mapping[str, object]) -> str:
    if node is None:
        return ""
    try:
        code = compile(ast.Expression(node), "card", "eval")
        return str(eval(code, dict(known)))
    except (NameError, AttributeError, SyntaxError):
        return _literal(node)


def _by_card(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put what a card says in different products into one row."""
    rows: dict[str, list[str]] = {}
    for card, comment in found:
        rows.setdefault(card, []).append(comment)
    return [
        (card, "; ".join(filter(None, comments))) for card, comments in rows.items()
    ]


def _literal(node: ast.expr) -> str:
    """Give a text of the code, with `n` for what is known only when it runs."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "n"
            for part in node.values
        )
    return ""


def recipe() -> str:
    """List every setting of a recipe."""
    return page(
        "Recipe",
        "A recipe of your own (`--recipe my.toml`) holds only what is to be different; "
        '`recipe = "notes"` at its top begins with that one.  The values below are '
        "those of `default`.",
        *_settings(Recipe, load_recipe("default"), ""),
    )


def rules() -> str:
    """List the keys of the rules, with the file itself."""
    text = (resources.files("autoreduce.planning") / "rules.toml").read_text("utf-8")
    tomllib.loads(text)
    return page(
        "Rules",
        "A file of your own (`--rules my.toml`) holds only what is to be different "
        "([how masters are chosen](../planning.md)).  `autoreduce rules show` prints "
        "those in force, `autoreduce rules check my.toml` says what is wrong with one.",
        *_settings(Rules, None, ""),
        "## The file",
        f"```toml\n{text.strip()}\n```",
    )


def _settings(cls: type, value: object, name: str) -> Iterator[str]:
    """List the settings of a class, and of those in it."""
    docs, rows, below, several = attribute_docs(cls), [], [], []
    for one in fields(cls):
        own = None if value is None else getattr(value, one.name)
        if is_dataclass(own) and not isinstance(own, type):
            below.append((type(own), own, f"{name}{one.name}."))
            continue
        (of, *_) = (*get_args(get_type_hints(cls)[one.name]), None)
        if value is not None and is_dataclass(of):
            several.append((of, f"{name}{one.name}"))
        shown = () if value is None else (f"`{_default(own)}`",)
        rows.append((f"`{one.name}`", *shown, _said(docs[one.name]) + _choice(own)))
    if rows:
        title = name.rstrip(".") or "At the top"
        yield f"## {title}" if not name else f"## [{title}]"
        if cls.__doc__:
            yield inspect.cleandoc(cls.__doc__).split("\n\n")[0]
        head = (
            ("key", "what it is") if value is None else ("key", "default", "what it is")
        )
        yield listing(head, rows)
    for kind, title in several:
        yield f"### [[{title}]]"
        yield _members(kind)
    for inner in below:
        yield from _settings(*inner)


def _said(words: str) -> str:
    """Write what the code calls a member of an enumeration as it is typed."""
    return re.sub(r"`[A-Z]\w*\.([A-Z_]+)`", lambda m: f"`{m[1].lower()}`", words)


def _choice(value: object) -> str:
    """List what may be chosen."""
    if not isinstance(value, Enum):
        return ""
    return f" One of {', '.join(f'`{one.value}`' for one in type(value))}."


def _default(value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return str(value or '""') if not isinstance(value, float | int) else str(value)


def options() -> str:
    """List every command with its options."""
    parts = []
    for words, command in _commands(cli, ["autoreduce"]):
        parts.append(f"## {' '.join(words)}")
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        said, _, example = text.partition("Example:")
        parts.append(said.strip())
        if example.strip():
            lines = "\n".join(line.strip() for line in example.strip().splitlines())
            parts.append(f"```sh\n{lines}\n```")
        rows = [
            (f"`{', '.join((*one.opts, *one.secondary_opts))}`", one.help or "")
            for one in command.params
            if isinstance(one, click.Option) and not one.hidden
        ]
        if rows:
            parts.append(listing(("option", "what it does"), rows))
    return page("Commands and options", *parts)


def _commands(
    command: click.Command, words: list[str]
) -> Iterator[tuple[list[str], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from _commands(found, [*words, name])


def python() -> str:
    """List the functions and classes of the package."""
    parts = []
    for name in sorted(autoreduce.__all__, key=str.lower):
        thing = getattr(autoreduce, name)
        kind = "class" if inspect.isclass(thing) else "function"
        if inspect.isclass(thing) or inspect.isfunction(thing):
            home = f"{thing.__module__}.{thing.__name__}"
            members = "\n:members:" if kind == "class" else ""
            parts.append(f"```{{eval-rst}}\n.. auto{kind}:: {home}{members and chr(10)}"
                         f"{'   :members:' if members else ''}\n```")  # fmt: skip
    return page(
        "Functions and classes",
        "What `import autoreduce` gives, by its home in the package "
        "([how it is used](../python.md)).",
        *parts,
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "tables": tables,
    "plan": plan,
    "cards": cards,
    "recipe": recipe,
    "rules": rules,
    "options": options,
    "python": python,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args(arguments).check
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / f"{name}.md", make()
        if check and not (path.is_file() and path.read_text("utf-8") == text):
            stale.append(path.name)
        elif not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python docs/make_references.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
