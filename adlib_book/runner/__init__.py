"""Executing chapters: where they lie, what their numbers depend on, the kernel, and the record of a run."""
