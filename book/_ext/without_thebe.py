"""Sphinx extension: take Thebe's scripts off every page.

Jupyter Book loads Thebe whether it is wanted or not. It names an address on a foreign host, and declares one
constant twice, which is an error in the browser's console on every page.
"""

from __future__ import annotations


def _is_thebe(script) -> bool:
    body = str(getattr(script, "attributes", {}).get("body", ""))
    return "THEBE_JS_URL" in body or "sphinx-thebe" in str(getattr(script, "filename", "") or "")


def _drop(app, pagename, templatename, context, doctree):
    context["script_files"] = [each for each in context.get("script_files", []) if not _is_thebe(each)]
    context["css_files"] = [each for each in context.get("css_files", []) if not _is_thebe(each)]


def setup(app):
    """Run after every other extension has added its scripts."""
    app.connect("html-page-context", _drop, priority=900)
    return {"parallel_read_safe": True}
