"""The makers are in mvtec_layout.py, so that tests can call them too."""

from mvtec_layout import folder  # noqa: F401
