"""Puts a change into a module that is loaded: the code of functions is exchanged, nothing is imported anew."""

import functools
import gc
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType

# What two codes are compared by: not the lines they stand in.
FIELDS = (
    *("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_exceptiontable"),
    *("co_argcount", "co_kwonlyargcount", "co_posonlyargcount"),
)


def exchanged(before: str, after: str, file: str) -> list[tuple[CodeType, CodeType]] | None:
    """(function's code, its new code) of each function that differs; None if more than bodies of functions does."""
    old, new = (compile(source, file, "exec", dont_inherit=True) for source in (before, after))
    try:
        return list(_pairs(old, new))
    except ValueError:
        return None


def exchange(pairs: list[tuple[CodeType, CodeType]]) -> bool:
    """In all living functions; whether each was found."""
    found = set()
    gc.unfreeze()  # what tests/conftest.py froze is not told otherwise
    functions = [each for each in gc.get_objects() if type(each) is FunctionType]
    for index, (old, new) in enumerate(pairs):
        place = (old.co_filename, old.co_qualname, old.co_firstlineno)
        for function in functions:
            code = function.__code__
            if (code.co_filename, code.co_qualname, code.co_firstlineno) == place:
                function.__code__ = new
                found.add(index)
    return len(found) == len(pairs)


def forget(modules: set[str]) -> None:
    """Empty what functions of these modules remember (`functools.cache`): it may come of the code before the change."""
    gc.unfreeze()
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper) and getattr(each, "__module__", None) in modules:
            each.cache_clear()


def lines(code: CodeType) -> set[int]:
    """All lines of a code and of those within it."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return {line for _, _, line in code.co_lines() if line} | {line for each in inner for line in lines(each)}


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Of a module or the body of a class, which run when they are loaded, and must be the same."""
    if _own(old) != _own(new):
        raise ValueError
    for inner, changed in zip(_inner(old), _inner(new), strict=True):
        if inner.co_qualname != changed.co_qualname:
            raise ValueError
        if not inner.co_flags & CO_OPTIMIZED:
            yield from _pairs(inner, changed)
        elif _whole(inner) != _whole(changed):
            if inner.co_name == "<lambda>" or inner.co_freevars != changed.co_freevars:
                raise ValueError
            yield inner, changed


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    constants = tuple((type(each), repr(each)) for each in code.co_consts if not isinstance(each, CodeType))
    return (constants, *(getattr(code, field) for field in FIELDS))


def _whole(code: CodeType) -> tuple[object, ...]:
    return (_own(code), *(_whole(each) for each in _inner(code)))
