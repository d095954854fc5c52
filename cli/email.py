"""Look at the product's mail without sending any: `preview` writes every kind as HTML and text, with made-up contents.

In a running `mts dev` the same stands at /dev/mail.
"""

import argparse
import tempfile
import webbrowser
from pathlib import Path

from cli.errors import CommandError
from jobs.providers.previews import Preview, previews


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare `preview [KIND]`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=("preview",))
    parser.add_argument("kind", nargs="?", metavar="KIND", help="one kind of mail, such as invoice; all without it")
    parser.add_argument("--folder", type=Path, help="where to write (a new temporary folder)")
    parser.add_argument("--open", action="store_true", help="open the HTML in a browser")


def run(args: argparse.Namespace) -> int:
    """Write the files and print their paths. Raises CommandError for a kind that does not exist."""
    every = previews()
    chosen = [preview for preview in every.values() if args.kind in (None, preview.kind, preview.name)]
    if not chosen:
        kinds = ", ".join(dict.fromkeys(preview.kind for preview in every.values()))
        raise CommandError(f"There is no mail of kind {args.kind!r}. The kinds are {kinds}.", 2)
    folder = (args.folder or Path(tempfile.mkdtemp(prefix="mts-mail-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for preview in chosen:
        _write(folder, preview)
        if args.open:
            webbrowser.open((folder / f"{preview.name}.html").as_uri())
    return 0


def _write(folder: Path, preview: Preview) -> None:
    html, text = folder / f"{preview.name}.html", folder / f"{preview.name}.txt"
    html.write_text(preview.words.html)
    text.write_text(f"Subject: {preview.words.subject}\n\n{preview.words.text}")
    print(f"{preview.words.subject}\n  {html}\n  {text}")
