"""The command line: nouns are groups, verbs are commands; exit 0 done, 1 failed, 2 wrong usage."""
