"""The parameters of a chapter: what its notebook declares, and what a run is given."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from adlib.errors import unknown_name
from adlib_book.runner.workspace import PROFILES

PATHS = ("folder",)  # parameters that name a place on this machine


def parse_parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Parameters given as name=value; a value that is JSON is read as such, anything else is text.

    Raises:
        ValueError: a pair without "=".
    """
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise ValueError(f"{pair!r} is not of the form name=value")
        try:
            parameters[name] = json.loads(text)
        except json.JSONDecodeError:
            parameters[name] = text
    return parameters


def declared_parameters(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Names and defaults in the one cell tagged `parameters`.

    Raises:
        ValueError: there is not exactly one such cell, or it holds more than plain assignments of literals.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{len(cells)} cells are tagged 'parameters'; expected exactly one.")
    declared: dict[str, Any] = {}
    for statement in ast.parse(cells[0].source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                pass
            case _:
                raise ValueError(
                    f"line {statement.lineno} of the parameters cell is no plain assignment: name = literal."
                )
        try:
            declared[name] = ast.literal_eval(value)
        except ValueError as error:
            raise ValueError(
                f"the default of parameter {name!r} is no literal; papermill needs one."
            ) from error
    return declared


def checked_parameters(declared: Mapping[str, Any], profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run: what the notebook declares, with the given values in place of the defaults.

    papermill itself only warns about a name that the notebook does not declare, and goes on with the default.
    A path means what it means in the caller's shell: relative to the working directory, with "~" for the home. It is
    made absolute here, because the kernel runs in a folder of its own.

    Raises:
        ValueError: unknown profile, or two; undeclared name, a value of another type than the default, or a path
            at which there is nothing.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    if given.get("profile", profile) != profile:
        raise ValueError(
            f"parameter 'profile' is {given['profile']!r}, but the run's profile is {profile!r}; "
            f"use --profile {given['profile']} instead."
        )
    requested = {**given, "profile": profile}
    for name, value in requested.items():
        if name not in declared:
            raise unknown_name("parameter", name, declared)
        default = declared[name]
        fits = (
            default is None or type(value) is type(default) or (type(default) is float and type(value) is int)
        )
        if not fits:
            raise ValueError(
                f"parameter {name!r} is {value!r} ({type(value).__name__}); "
                f"expected {type(default).__name__}, like its default {default!r}."
            )
    requested |= {name: _absolute(name, requested[name]) for name in PATHS if requested.get(name)}
    return {**declared, **requested}


def _absolute(name: str, value: str) -> str:
    path = Path(os.path.expanduser(value)).resolve()
    if not path.exists():
        raise ValueError(
            f"parameter {name!r} is {value!r}, but there is no {path}. "
            f"Give a path that exists: absolute, or relative to {Path.cwd()}."
        )
    return str(path)
