"""Boxes of the pages: commands, and what they print, carried out as a reader would."""

import contextlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from autoreduce.cli import cli

DOCS = Path(__file__).parents[1] / "docs"
NOT_RUN = ("pip install", "apt install", "autoreduce open", "ds9 ")
"""Installing, a browser, and other programs."""


def boxes(name):
    """List the boxes of a page: the language of each, and its text."""
    text = (DOCS / name).read_text("utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def alike(text):
    """Take out what differs from one run to the next: how long it took, where it lies."""
    return re.sub(r"\bin \d[\d.]* (s|min)\b", "in TIME", text).replace("./", "")


def run(line, folder):
    """Carry out a line of a box, with the shell if it needs one; return what it prints."""
    bare = re.sub(r"'[^']*'|\s#.*", "", line)
    if bare.startswith("autoreduce ") and not re.search(r"[|&;<>$~*?[]", bare):
        words = shlex.split(line, comments=True)
        with contextlib.chdir(folder):
            told = CliRunner().invoke(cli, words[1:])
        assert told.exit_code == 0, f"{line}\n{told.output}{told.exception!r}"
        return alike(told.stdout)
    program = f'autoreduce() {{ "{sys.executable}" -m autoreduce "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", program + line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return alike(done.stdout)


def is_run(line, folder):
    """Tell whether a line of a box can be carried out in a folder."""
    words = (*NOT_RUN, *(() if (folder / "night").is_dir() else ("./night/",)))
    return bool(line.strip()) and not any(one in line for one in words)


def run_python(code, folder):
    """Carry out a box of Python; return what it prints."""
    code = f"import matplotlib\nmatplotlib.use('Agg')\n{code}"
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return alike(done.stdout)


def run_page(name, folder):
    """Carry out a page's commands; list lines that it shows and no command printed."""
    printed, wrong = "", []
    for language, text in boxes(name):
        if language == "sh":
            for line in text.splitlines():
                if line.startswith("cd "):
                    folder /= line[3:]
                elif is_run(line, folder):
                    printed += run(line, folder)
        elif language == "python":
            printed += run_python(text, folder)
        elif language == "text":
            shown = alike(text).splitlines()
            wrong += [line for line in shown if line and line not in printed]
    return wrong
