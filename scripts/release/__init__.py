"""`make release`: everything between a clean tree and files that may be published.

    plan.py          the steps, what is remembered between them, and what they share
    tree.py          the tree is clean, the version is new, the changelog knows it
    build.py         sdist, and from it the wheel
    members.py       what may be in them, file by file
    inspection.py    names, texts, metadata, extension modules
    environments.py  clean environments
    trial.py         the tests, compiled and interpreted
    keeping.py       tests/format: what this release writes, for the releases after it
    kept_files.py    makes those files; runs in the environment of the release
    contents.py      what is in a database file, as JSON that later releases are compared with
    sums.py          SHA256SUMS
    publishing.py    the commands that are left to a person

Nothing is uploaded, tagged or committed.
"""
