"""``underlie doctor``: is this installation sound, on this machine, and if not, what to do."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from underlie import __version__
from underlie.cli.doctor_machine import Finding, environment, machine
from underlie.cli.errors import UNEXPECTED

#: extras for those who work on the package itself
_OF_DEVELOPERS = ("test", "lint", "docs", "peers", "benchmarks")
#: Seconds from which the test of a fit is slow: it takes a tenth of that on a machine of its own.
_SLOW = 10.0
_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}


def diagnose(*, as_json: bool) -> None:
    """Print what was found; leave with exit code 1 where something is wrong."""
    found = examine()
    healthy = sound(found)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "findings": [asdict(one) for one in found]}, indent=2))
    else:
        _show(found)
    if not healthy:
        raise typer.Exit(UNEXPECTED)


def examine() -> list[Finding]:
    """Everything that is looked at, in the order of the page; what needs something broken is left out."""
    found: list[Finding] = []
    for stage in _STAGES:
        found += [one for look in stage for one in look()]
        if not sound(found):
            break
    return found


def sound(found: Sequence[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(one.state != "problem" for one in found)


def versions() -> list[Finding]:
    """The package, Python, and the libraries that it needs, against the bounds that it states."""
    where = Path(__file__).parents[1]
    system = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    found = [
        Finding("installation", "underlie", f"{__version__} in {where}"),
        Finding("installation", "Python", system),
    ]
    for name, specifier in _required():
        installed = _version(name)
        if installed is None:
            found.append(Finding("installation", name, "is missing", "problem", f'pip install "{name}{specifier}"'))
        elif not _satisfies(installed, specifier):
            remedy = f'{specifier} is needed: pip install --upgrade "{name}{specifier}"'
            found.append(Finding("installation", name, installed, "problem", remedy))
        else:
            found.append(Finding("installation", name, installed))
    return found


def imports() -> list[Finding]:
    """Whether the libraries can be loaded together; a fault in one of them, or in the environment, shows here."""
    try:
        import underlie.estimators.vae  # noqa: F401
    except (ImportError, OSError, ValueError, RuntimeError, AttributeError) as error:
        value = f"cannot be imported: {type(error).__name__}: {error}"
        remedy = "install in a new environment: python -m venv new && new/bin/pip install underlie"
        return [Finding("installation", "libraries", value, "problem", remedy)]
    return []


def data_folders() -> list[Finding]:
    """The folder of the user's data, and where downloads are kept."""
    from underlie.datasets._fetch import cache_folder, data_folder

    folder, cache = data_folder(), cache_folder()
    if folder is None:
        data = Finding("data", "UNDERLIE_DATA", "not set: larger data sets are downloaded once, where they can be")
    elif not folder.is_dir():
        remedy = "make the folder, or name another: export UNDERLIE_DATA=DIR; or unset the variable"
        data = Finding("data", "UNDERLIE_DATA", f"{folder} is no folder", "problem", remedy)
    elif not os.access(folder, os.R_OK | os.X_OK):
        data = Finding(
            "data", "UNDERLIE_DATA", f"{folder} cannot be read", "problem", "give yourself the right to read it"
        )
    else:
        data = Finding("data", "UNDERLIE_DATA", str(folder))
    if _writable(cache):
        return [data, Finding("data", "cache", str(cache))]
    remedy = "name a folder in which you may write: export UNDERLIE_CACHE=DIR"
    return [data, Finding("data", "cache", f"nothing can be written to {cache}", "problem", remedy)]


def extras() -> list[Finding]:
    """What is there of the optional parts; none of them is needed."""
    found = []
    for extra, needed in _optional().items():
        absent = [name for name in needed if _version(name) is None]
        value = "not installed" if absent else ", ".join(f"{name} {_version(name)}" for name in needed)
        remedy = f'if you want it: pip install "underlie[{extra}]"' if absent else ""
        found.append(Finding("optional", extra, value, remedy=remedy))
    return found


def self_test() -> list[Finding]:
    """Fit a small model as a user would, and see whether its answers are numbers."""
    import numpy as np

    import underlie as ul

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 3))
    X[::7, 0] = np.nan
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ul.VAE(n_latent=1, hidden=(16,), max_epochs=5, random_state=0, verbose=False).fit(X)
        complete = model.impute(X, n_importance=32)
    seconds = time.perf_counter() - begun
    value = f"a variational autoencoder of 200 rows fitted in {seconds:.1f} s"
    if not np.isfinite(complete).all():
        remedy = "install the libraries again in a new environment; if it stays so, report it with this page"
        return [Finding("test", "a small fit", value + ", but its answers are no numbers", "problem", remedy)]
    if seconds > _SLOW:
        remedy = "the machine is busy, or has fewer cores than it says: try OMP_NUM_THREADS=1"
        return [Finding("test", "a small fit", value + ", which is slow", "note", remedy)]
    return [Finding("test", "a small fit", value)]


#: Each stage needs that of those before it nothing is wrong.
_STAGES = ((versions, environment), (imports,), (machine, data_folders, extras), (self_test,))


def _show(found: list[Finding]) -> None:
    width = max(len(one.name) for one in found)
    topic = None
    for one in found:
        if one.topic != topic:
            topic = one.topic
            typer.secho(topic, bold=True)
        mark, colour = _MARKS[one.state]
        typer.secho(f"  {mark:<8}", fg=colour, nl=False)
        typer.echo(f"{one.name:<{width}}  {one.value}")
        if one.remedy:
            typer.echo(f"{'':<{width + 12}}-> {one.remedy}")
    problems = sum(one.state == "problem" for one in found)
    if problems:
        typer.secho(f"{problems} problem{'s' if problems > 1 else ''} found", fg="red", bold=True)
    else:
        typer.secho("all is well", fg="green", bold=True)


def _required() -> list[tuple[str, str]]:
    """Name and bounds of the libraries without which the package does not work."""
    return [(one.name, str(one.specifier)) for one in _requirements() if one.marker is None]


def _optional() -> dict[str, list[str]]:
    """By extra, the libraries that it asks for."""
    names = metadata.metadata("underlie").get_all("Provides-Extra") or []
    wanted = [name for name in names if name not in _OF_DEVELOPERS]
    return {
        extra: [one.name for one in _requirements() if one.marker is not None and one.marker.evaluate({"extra": extra})]
        for extra in wanted
    }


def _requirements() -> list[Requirement]:
    return [Requirement(line) for line in metadata.requires("underlie") or []]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _satisfies(installed: str, specifier: str) -> bool:
    return SpecifierSet(specifier).contains(installed, prereleases=True)


def _writable(folder: Path) -> bool:
    """Whether a file can be made in a folder, or in the nearest one above it that exists."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
