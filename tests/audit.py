"""Asks the index whether a vulnerability is known of anything that the locks hold.

``python tests/audit.py`` ends with 0 where everything was looked up and nothing is known, with 1 where something is,
and with 2 where not everything could be looked up: that is no pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements-dev.lock", "requirements-tfjs.lock")


def main() -> int:
    """Print what was found."""
    command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    command += ["--disable-pip", "--require-hashes", *(word for lock in LOCKS for word in ("-r", str(ROOT / lock)))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        print(f"NOT AUDITED: {lines[-1]}")
        return 2
    known = [(each["name"], each["version"], hole) for each in packages for hole in each.get("vulns", [])]
    for name, version, hole in known:
        mended = ", ".join(hole["fix_versions"]) or "no version yet"
        print(f"{name} {version}: {hole['id']}, mended in {mended}")
    skipped = [each for each in packages if "skip_reason" in each]
    if skipped:
        print(f"NOT AUDITED: {len(skipped)} of {len(packages)} packages ({skipped[0]['skip_reason']}, …)")
    else:
        print(f"audited: {len(packages)} packages, {len(known)} known vulnerabilities")
    return 1 if known else 2 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
