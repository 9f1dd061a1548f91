"""What this machine can do; a test that needs more is skipped with a line that says so."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile

import pytest


@functools.cache
def why_no_tmpfs() -> str:
    """Why no file system can be mounted here; empty when one can."""
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return f"cannot mount: {done.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


@functools.cache
def why_no_strace() -> str:
    """Why calls cannot be made to fail by strace; empty when they can."""
    if shutil.which("strace") is None:
        return "no strace"
    done = subprocess.run(
        ["strace", "-f", "-e", "inject=fdatasync:error=EIO", "true"],
        check=False,
        capture_output=True,
        text=True,
    )
    return f"strace does not work: {done.stderr.strip()[-200:]}" if done.returncode else ""


def needs(reason: str) -> pytest.MarkDecorator:
    """Skip with a reason, if there is one."""
    return pytest.mark.skipif(bool(reason), reason=reason or "can be done")
