"""Make a release: check, build, inspect, test, keep a file, sum up; publish nothing.

    python -m scripts.release [--tests quick|full] [--step NAME] [--dry-run] [--restart]

A release that stopped goes on where it stopped. Exit codes: 0 done, 1 something must not be
released, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from scripts.release.build import build_sdist, build_wheel
from scripts.release.inspection import inspect
from scripts.release.keeping import keep_files
from scripts.release.plan import STATE_FILE, Release, ReleaseError, Step, run_steps, version_of
from scripts.release.publishing import commands
from scripts.release.sums import write_sums
from scripts.release.tree import check_tree, commit_of
from scripts.release.trial import SELECTIONS, try_sdist, try_wheel

ROOT: Final = Path(__file__).resolve().parents[2]
STEPS: Final = (
    Step("check", "check the tree, the version and the changelog", check_tree, True),
    Step("sdist", "build and unpack the source distribution", build_sdist),
    Step("wheel", "build the wheel, compiled unless --pure", build_wheel),
    Step("inspect", "inspect both, member by member", inspect),
    Step("test-wheel", "run the tests against the wheel", try_wheel),
    Step("test-sdist", "run the tests against the source distribution", try_sdist),
    Step("keep", "write tests/format with this release", keep_files),
    Step("sums", "write SHA256SUMS", write_sums),
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree; default: this one")
    parser.add_argument("--output", type=Path, help="default: build/release/VERSION in the tree")
    parser.add_argument("--tests", choices=sorted(SELECTIONS), default="full")
    parser.add_argument("--step", choices=[step.name for step in STEPS], default="")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--restart", action="store_true", help="forget what is done already")
    parser.add_argument("--pure", action="store_true", help="no compiled core: to try the script")
    parser.add_argument(
        "--offline", action="store_true", help="take dependencies from the running Python"
    )
    return parser.parse_args(arguments)


def require_ours(output: Path) -> None:
    """Steps remove what an earlier run has left there, so there must be nothing else."""
    if output.is_dir() and any(output.iterdir()) and not (output / STATE_FILE).exists():
        raise ReleaseError(
            f"{output} is not empty and is no folder of a release; name another with --output"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the steps; returns the exit code."""
    chosen = parse(arguments)
    output: Path | None = None
    try:
        root = chosen.root.resolve()
        version = version_of(root)
        output = (chosen.output or root / "build" / "release" / version).resolve()
        release = Release(
            root,
            output,
            version,
            commit_of(root),
            is_pure=chosen.pure,
            is_offline=chosen.offline,
            tests=chosen.tests,
        )
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        print(f"CBDD {version}, commit {release.commit[:12]}, in {output}")
        require_ours(output)
        if chosen.restart and not chosen.dry_run:
            shutil.rmtree(output, ignore_errors=True)
        done = run_steps(release, STEPS, chosen.step, chosen.dry_run)
        if all(step.name in done for step in STEPS) and not chosen.dry_run and not release.is_pure:
            print("\nAll steps are done. To publish, type:\n")
            print("\n".join(f"    {line}" for line in commands(release)))
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"release: {error.filename or output}: {error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("release: stopped; the same command goes on from here\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
