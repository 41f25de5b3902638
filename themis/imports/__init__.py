"""Runs of other tools, brought into a store as ordinary runs: :func:`themis.imports.entry.import_file`."""
