"""What is changed in a module, one thing at a time: the operators of Cosmic Ray, and statements that are left out."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

# Of each operator's many replacements those that differ most, since every one costs a run of the tests.
OPERATORS = [
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ZeroIterationForLoop",
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in (
        ("Add", "Sub"), ("Sub", "Add"), ("Mul", "FloorDiv"), ("Div", "Mul"), ("FloorDiv", "Mul"), ("Mod", "Mul"),
        ("Pow", "Mul"), ("LShift", "RShift"), ("RShift", "LShift"), ("BitAnd", "BitOr"), ("BitOr", "BitAnd"),
    )),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (
        ("Eq", "NotEq"), ("NotEq", "Eq"), ("Lt", "LtE"), ("Lt", "GtE"), ("LtE", "Lt"), ("LtE", "Gt"), ("Gt", "GtE"),
        ("Gt", "LtE"), ("GtE", "Gt"), ("GtE", "Lt"), ("Is", "IsNot"), ("IsNot", "Is"),
    )),
]  # fmt: skip


@dataclass(frozen=True)
class Change:
    """text: the lines as they were → as they are. source: of the whole module."""

    text: str
    source: str

    @property
    def key(self) -> str:
        return sha256(self.source.encode()).hexdigest()[:16]


def changes(source: str) -> Iterator[Change]:
    """Each once, and none that only types of arguments or docstrings tell from the module itself."""
    seen = {_meaning(source)}
    for changed in (*_replaced(source), *_left_out(source)):
        try:
            meaning = _meaning(changed)
        except SyntaxError:
            continue
        if meaning not in seen:
            seen.add(meaning)
            yield Change(_difference(source, changed), changed)


def _replaced(source: str) -> Iterator[str]:
    tree = get_ast(source)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        for occurrence in range(sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree))):
            with suppress(AttributeError):  # it cannot replace a part of `except (One, *others)`
                if changed := mutate_code(source, operator, occurrence):
                    yield changed


def _left_out(source: str) -> Iterator[str]:
    """Without a call whose value nobody takes, a `raise`, or an assignment that adds."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            or isinstance(node, ast.Raise | ast.AugAssign)
        ):
            first, last = lines[node.lineno - 1], lines[node.end_lineno - 1]
            start, end = first.encode()[: node.col_offset].decode(), last.encode()[node.end_col_offset :].decode()
            yield "".join((*lines[: node.lineno - 1], f"{start}pass{end}", *lines[node.end_lineno :]))


class _Plain(ast.NodeTransformer):
    """`not a > b` is `a <= b`."""

    inverse = (
        *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is), (ast.In, ast.NotIn)),
        *((ast.Lt, ast.GtE), (ast.GtE, ast.Lt), (ast.Gt, ast.LtE), (ast.LtE, ast.Gt), (ast.NotIn, ast.In)),
    )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare) and len(inner.ops) == 1:
            return ast.Compare(inner.left, [dict(self.inverse)[type(inner.ops[0])]()], inner.comparators)
        return node


def _meaning(source: str) -> str:
    tree = _Plain().visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
            node.body = [_untyped(statement) for statement in node.body]
    return ast.dump(tree)


def _untyped(statement: ast.stmt) -> ast.stmt:
    if isinstance(statement, ast.AnnAssign) and statement.value:
        return ast.Assign([statement.target], statement.value)
    return statement


def _difference(before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return " → ".join(" ".join(line.strip() for line in lines) for lines in (old, new))
