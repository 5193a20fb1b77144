"""The parameters of a chapter: what its notebook declares, and what a run is given."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import nbformat

from adlib.errors import unknown_name
from adlib_book.runner.workspace import PROFILES


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

    Raises:
        ValueError: unknown profile, or two; undeclared name, or a value of another type than the default.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    if given.get("profile", profile) != profile:
        raise ValueError(
            f"parameter 'profile' is {given['profile']!r}, but the run's profile is {profile!r}; "
            f"use --profile {given['profile']} instead."
        )
    wanted = {**given, "profile": profile}
    for name, value in wanted.items():
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
    return {**declared, **wanted}
