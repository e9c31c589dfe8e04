"""Files of Debian packages that are not installed: fetched by apt, unpacked outside the clone, kept."""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "moneta"


VERSIONS = {}


def look_up(packages):
    """Keeps the versions that apt would install here: of many at once, for each look takes it about a second."""
    new = [package for package in packages if package not in VERSIONS]
    if new:
        list_packages()
        text = subprocess.check_output(["apt-cache", "show", "--no-all-versions", *new], text=True)
        fields = [line.split(": ", 1) for line in text.splitlines() if line.startswith(("Package: ", "Version: "))]
        VERSIONS.update((name, version) for (_, name), (_, version) in zip(fields[::2], fields[1::2]))


@functools.cache
def list_packages():
    """Fetches apt's lists where there are none, as on a fresh machine: as root, or with sudo."""
    lists = pathlib.Path("/var/lib/apt/lists")
    if any(lists.glob("*_Packages*")):
        return
    command = ["apt-get", "update", "-qq"]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise SystemExit(f"apt has no lists of packages; please run as root: {' '.join(command)}")
        command.insert(0, "sudo")
    subprocess.run(command, check=True)


def version(package):
    """The version that apt would install here."""
    look_up([package])
    return VERSIONS[package]


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
