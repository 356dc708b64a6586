"""Registries without a list: the kinds of something are the folders of its package, each of which defines one."""

import pkgutil
from importlib import import_module
from typing import Any

from heclstm.errors import ModelError


def kinds(package: str, path: list[str], base: type[Any]) -> dict[str, type[Any]]:
    """The class of `base` in each folder, by its name; folders are called as their kind."""
    found: dict[str, type[Any]] = {}
    for folder in (entry.name for entry in pkgutil.iter_modules(path) if entry.ispkg):
        module = import_module(f"{package}.{folder}")
        own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
        named = {getattr(each, "kind", None): each for each in own if issubclass(each, base)}
        if set(named) != {folder}:
            raise ModelError(f"{module.__name__}: defines {list(named)}, expected a {base.__name__} of kind '{folder}'")
        found[folder] = named[folder]
    return found
