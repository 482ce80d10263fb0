"""`plugrad new-backend` and `plugrad new-op`: a complete package to begin with, whose tests pass."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import command
from .answer import Answer, CommandError
from .inventory import read_plugins

#: Packages that are right as they stand; new ones are copies with other names.
TEMPLATES = Path(__file__).parent / "templates"


def add(commands: Any) -> None:
    """Add `new-backend` and `new-op`."""
    parser = command(
        commands, "new-backend", new_backend, "write the package of a new backend, whose tests pass"
    )
    parser.add_argument("name", metavar="NAME", help="the device type that users will write, such as 'metal'")
    parser.add_argument(
        "--namespace",
        metavar="MODULE",
        help="the installed module that follows the array API standard; without it, NumPy stands in for your library",
    )
    _add_directory(parser)
    parser = command(commands, "new-op", new_op, "write the package of a new operator, whose tests pass")
    parser.add_argument(
        "name", metavar="NAME", help="LIBRARY::OP, such as 'vision::blur'; NAME alone is NAME::NAME"
    )
    _add_directory(parser)


def new_backend(args: argparse.Namespace) -> Answer:
    """Write the package of a backend."""
    from ..plugins.specs import RESERVED_DEVICES

    name = args.name
    _check_name(name, "a device type", "lower-case letters, digits and _, a letter first, such as 'metal'")
    if name in RESERVED_DEVICES:
        raise CommandError(f"device {name!r} is reserved for plugrad itself: give it another name")
    for record in read_plugins():
        if any(spec.device_type == name for spec in record.backends):
            raise CommandError(f"{record.title} offers device {name!r} already: give it another name")
    names = {"banana": name, "Banana": _class_name(name), "plugrad-banana": _distribution(name)}
    layers = ["backend"]
    if args.namespace:
        names |= _names_of_namespace(args.namespace)
        layers.append("namespace")
    return _write(layers, args.directory, names, name, "plugrad devices")


def new_op(args: argparse.Namespace) -> Answer:
    """Write the package of an operator."""
    from .. import ops  # noqa: F401  which says what names of libraries are taken
    from ..plugins import RESERVED_LIBRARIES, OpSpec

    library, _, op = args.name.partition("::")
    op = op or library
    form = "lower-case letters, digits and _, a letter first, such as 'vision::blur'"
    _check_form(op, "an operator", form)
    _check_name(library, "a library of operators", form)
    for record in read_plugins():
        for spec in record.offered(OpSpec):
            if spec.name.partition("::")[0] == library:
                raise CommandError(
                    f"{record.title} offers operators of {library!r} already: give it another name"
                )
    if library in RESERVED_LIBRARIES:
        raise CommandError(
            f"library {library!r} is plugrad's own: give another, such as 'my_{library}::{op}'"
        )
    names = {"fruit": library, "ripen": op, "plugrad-fruit": _distribution(library)}
    return _write(["op"], args.directory, names, library, f"plugrad plugins show {library}")


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--directory", metavar="DIR", help="where to write it (plugrad-NAME, here)")


def _check_name(name: str, what: str, form: str) -> None:
    """Raise for a name that is none, or whose package there is already."""
    _check_form(name, what, form)
    if importlib.util.find_spec(f"plugrad_{name}"):
        raise CommandError(
            f"a package 'plugrad_{name}' is installed already: give it another name, or uninstall it"
        )


def _check_form(name: str, what: str, form: str) -> None:
    import keyword

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        close = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f"; did you mean {close!r}?" if close and close != name else ""
        raise CommandError(f"{name!r} cannot be the name of {what}: give {form}{hint}")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _distribution(name: str) -> str:
    return f"plugrad-{name.replace('_', '-')}"


def _names_of_namespace(module: str) -> dict[str, str]:
    """What stands for the template's array library: a module, its distribution, and the type of its arrays."""
    from importlib.metadata import packages_distributions

    from ..plugins.loader import describe

    try:
        namespace: Any = importlib.import_module(module)
        array_type = type(namespace.asarray(0.0))
    except (Exception, SystemExit) as error:
        cause = describe(error)
        raise CommandError(
            f"--namespace {module}: no array can be made by {module}.asarray(0.0): {cause}: "
            "install the library, or give the module that holds the functions of the array API standard"
        ) from error
    if array_type.__module__ == "numpy":
        raise CommandError(
            f"--namespace {module}: its arrays are NumPy's, which belong to the device 'cpu' already"
        )
    top = module.partition(".")[0]
    distribution = packages_distributions().get(top, [top])[0]
    return {
        "array_api_strict": module,
        "array_api_strict._array_object:Array": f"{array_type.__module__}:{array_type.__qualname__}",
        'requires=("array_api_strict",)': f'requires=("{top}",)',
        '"numpy"]': f'"{distribution}"]',
    }


def _write(layers: list[str], directory: str | None, names: dict[str, str], name: str, look: str) -> Answer:
    """Copy templates, the later over the earlier, with names replaced, into a directory that must be new."""
    target = Path(directory or _distribution(name))
    files: dict[str, str] = {}
    for layer in layers:
        for path in sorted((TEMPLATES / layer).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:  # pip compiles the templates, too
                file = path.relative_to(TEMPLATES / layer).as_posix()
                files[_replaced(file, names)] = _replaced(path.read_text("utf-8"), names)
    try:
        target.mkdir(parents=True)
        for file, content in files.items():
            (target / file).parent.mkdir(exist_ok=True)
            (target / file).write_text(content, "utf-8")
    except FileExistsError as error:
        raise CommandError(
            f"{target} exists already: remove it, or give another place by --directory"
        ) from error
    except OSError as error:
        raise CommandError(
            f"{target} cannot be written: {error}: give another place by --directory"
        ) from error
    steps = [f"cd {target}", 'python -m pip install -e ".[test]"', "python -m pytest", look]
    text = [f"wrote {target}:", *_indented(files), "\nnext:", *_indented(steps)]
    return Answer({"directory": str(target), "files": list(files), "next": steps}, text)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _replaced(text: str, names: dict[str, str]) -> str:
    """The text with all names replaced at once, longer ones first."""
    pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(pattern, lambda found: names[found[0]], text)
