"""Configurations: `sed.py` has every field with its default, the others differ."""
