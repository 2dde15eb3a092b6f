"""Debian's prometheus-alertmanager, which is measured beside the service: found or fetched, configured, run.

ALERTMANAGER names the program; else it is looked for on PATH; else Debian's package is downloaded and unpacked into a
temporary folder (`apt-get download`, nothing is installed). Where none of these works, the ratios stay empty.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "prometheus-alertmanager"
SHARE = Path("/usr/share/prometheus/alertmanager")
ALERT = '{"labels":{"alertname":"alert-NNNNNNNN-PP","severity":"warning"}}'
"""One alert of the load generator, as Alertmanager has it."""

MISSING = (
    f"No Alertmanager beside it: set ALERTMANAGER, or install {PACKAGE}, or run this where apt-get can download it."
)
START_S = 20.0

# Each alert is told at once and alone, as ours are; grouped, as its manual recommends for large sites.
EACH = "group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 4h"
GROUPED = "group_by: ['severity']\n  group_wait: 1s\n  group_interval: 5s\n  repeat_interval: 4h"


@dataclass(frozen=True)
class Alertmanager:
    """A running one; `intake` is where alerts go."""

    url: str
    pid: int
    folder: Path

    @property
    def intake(self) -> str:
        return f"{self.url}/api/v2/alerts"


@functools.cache
def program() -> Path | None:
    """The program; None where there is none to be had."""
    given = os.environ.get("ALERTMANAGER") or shutil.which(PACKAGE) or shutil.which("alertmanager")
    if given:
        return Path(given) if Path(given).exists() else None
    folder = Path(tempfile.mkdtemp(prefix="callboard-", dir="/tmp"))  # the path has to be short, see below
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True, timeout=120)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder / "unpacked"], check=True, capture_output=True, timeout=60)
        return _moved(folder)
    except (OSError, subprocess.SubprocessError):
        return None


def _moved(folder: Path) -> Path:
    """The unpacked program, made to look for its templates where they were unpacked.

    Debian's build reads them from one fixed place and has no option for it; the new path is as long as the old one.
    """
    for template in (folder / "unpacked" / SHARE.relative_to("/")).glob("*.tmpl"):
        template.rename(folder / template.name)
    old = bytes(SHARE)
    found = folder / PACKAGE
    found.write_bytes(
        (folder / "unpacked/usr/bin" / PACKAGE).read_bytes().replace(old, bytes(folder).ljust(len(old), b"/"))
    )
    found.chmod(0o755)
    return found


@contextmanager
def running(webhook: str = "", route: str = EACH) -> Iterator[Alertmanager]:
    """One on a free port that tells `webhook` (nobody, where that is empty); ended at the end. `program()` is there."""
    found = program()
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="callboard-alertmanager-") as name, socket.socket() as probe:
        folder = Path(name)
        told = f"\n  webhook_configs:\n  - url: {webhook}\n    send_resolved: false" if webhook else ""
        (folder / "config.yml").write_text(f"route:\n  receiver: told\n  {route}\nreceivers:\n- name: told{told}\n")
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    found,
                    f"--config.file={folder / 'config.yml'}",
                    f"--storage.path={folder / 'data'}",
                    f"--web.listen-address={address}",
                    "--cluster.listen-address=",
                    "--log.level=error",
                ],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            _wait(f"http://{address}", process, folder)
            yield Alertmanager(f"http://{address}", process.pid, folder)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until it is ready. Raises RuntimeError when it ends instead."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with opener.open(f"{url}/-/ready", timeout=5):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise RuntimeError(f"Alertmanager did not start: {(folder / 'log').read_text(errors='replace')[-300:]}")
