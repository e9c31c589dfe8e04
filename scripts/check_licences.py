"""Reads `cargo metadata` from standard input and checks licences and sources against deny.toml."""

import json
import re
import sys
import tomllib
from pathlib import Path

policy = tomllib.loads((Path(__file__).parent.parent / "deny.toml").read_text())
allowed = set(policy["licenses"]["allow"])


def acceptable(expression: str) -> bool:
    """Whether an SPDX expression can be met by the allowed licences: OR needs one side, AND needs both."""
    words = re.sub(r"([()])", r" \1 ", expression.replace("/", " OR ")).split()
    python = []
    for word in words:
        if word in ("(", ")"):
            python.append(word)
        elif word in ("OR", "AND"):
            python.append(word.lower())
        elif word == "WITH":
            python.append("WITH")
        elif python and python[-1] == "WITH":
            python.pop()
        else:
            python.append(str(word in allowed))
    return bool(eval(" ".join(python), {"__builtins__": {}}))


def main() -> int:
    problems = []
    packages = json.load(sys.stdin)["packages"]
    for package in packages:
        if package["source"] is None:
            continue
        name = f'{package["name"]} {package["version"]}'
        if not package["source"].startswith("registry+"):
            problems.append(f"{name}: comes from {package['source']}, not from the registry")
        if not acceptable(package["license"] or "none"):
            problems.append(f"{name}: licence {package['license']!r} is not on the list in deny.toml")
    print("\n".join(problems) or f"licences: {len(packages)} packages, all on the list")
    return 1 if problems else 0


sys.exit(main())
