"""The command line: `cbdd import`, `export`, `find`, `stats`, `info`, `check`, `checkpoint` and
the commands for indexes. One file per command; `app` puts them together, `failures` turns what goes
wrong into one line and an exit code, `opening` opens the file, `readers` reads documents.
"""
