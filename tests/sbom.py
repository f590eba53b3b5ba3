"""What a release is made of, as CycloneDX JSON: `python -m tests.sbom PATH`.

The packages come from the hash-pinned lock, and who needs whom from its comments; the vendored files from their sums.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent
LOCK, VENDOR = ROOT / "requirements.lock", ROOT / "static" / "vendor"
PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(.*?)(?=^[a-z0-9]|\Z)", re.M | re.S)


def main(path: Path) -> None:
    bom = packages()
    bom["components"] += files()
    bom["dependencies"] = list(needed(bom))
    text = json.dumps(bom, indent=1, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"The list is not valid: {problem}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{len(bom['components'])} components are in {path}.")


def packages() -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(LOCK)]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--sv", "1.6", "--output-reproducible"]
    made = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    bom: dict[str, Any] = json.loads(made.stdout)
    for component in bom["components"]:
        component["bom-ref"] = component["purl"]
        del component["description"]  # the line of the lock once more
    return bom


def files() -> Iterator[dict[str, Any]]:
    """`name@version/file` and its SHA-256."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        package, _, version = name.partition("/")[0].rpartition("@")
        yield {
            "bom-ref": f"static/vendor/{name}", "type": "file", "name": f"static/vendor/{name}", "version": version,
            "hashes": [{"alg": "SHA-256", "content": digest}], "description": f"{package}, served as it is",
        }  # fmt: skip


def needed(bom: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lock says of each package by whom it is needed; here it is the other way round."""
    refs = {one["name"]: one["bom-ref"] for one in bom["components"]}
    root = bom["metadata"]["component"]["bom-ref"]
    needs: dict[str, set[str]] = {root: {ref for name, ref in refs.items() if name.startswith("static/")}}
    needs |= {ref: set() for ref in refs.values()}
    for name, _, rest in PACKAGE.findall(LOCK.read_text()):
        for user in re.findall(r"^ +# +(?:via )?([a-z0-9][a-z0-9._-]*)(?: \(.*\))?$", rest, re.M):
            if user != "via":
                needs[root if user == "gatehouse" else refs[user]].add(refs[name])
    for ref in sorted(needs):
        yield {"ref": ref, "dependsOn": sorted(needs[ref])}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
