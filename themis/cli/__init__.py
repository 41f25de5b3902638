"""``themis``: the verbs of the library for shells and scripts."""
