"""Files of Debian packages that are not installed: fetched by apt, unpacked outside the clone, kept."""

import functools
import os
import pathlib
import subprocess
import tempfile

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "moneta"


@functools.cache
def version(package):
    """The version that apt would install here."""
    text = subprocess.check_output(["apt-cache", "show", "--no-all-versions", package], text=True)
    return next(line.removeprefix("Version: ") for line in text.splitlines() if line.startswith("Version: "))


def library(package, path):
    """The installed file, or that of the package unpacked."""
    return path if pathlib.Path(path).exists() else f"{unpacked(package)}{path}"


@functools.cache
def unpacked(package):
    """The directory of a package, unpacked once."""
    # Without the colon behind an epoch: it would part two directories of a list.
    unpacked = CACHE / f"deb-{package}-{version(package)}".replace(":", "_")
    if not unpacked.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            subprocess.run(["apt-get", "download", package], cwd=fresh, check=True, capture_output=True)
            [archive] = pathlib.Path(fresh).glob("*.deb")
            subprocess.run(["dpkg", "-x", archive, f"{unpacked}.part-{os.getpid()}"], check=True)
        os.rename(f"{unpacked}.part-{os.getpid()}", unpacked)
    return unpacked
