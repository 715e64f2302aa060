"""Small faults put into a module's source, one at a time: what a test should notice."""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}
LEFT_ALONE = (ast.FunctionDef, ast.ClassDef, ast.Raise, ast.JoinedStr, ast.Assert)
NAMED = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum"}
NAMED |= {"maximum": "minimum", "argmax": "argmin", "argmin": "argmax", "sum": "mean"}


@dataclass(frozen=True)
class Change:
    """One fault: where it is, in which function, and what it is."""

    line: int
    function: str
    what: str


def changes(tree: ast.Module) -> Iterator[Change]:
    """Yield every fault that can be put into a module's functions; the tree has it meanwhile.

    Left alone: texts, annotations, what only raises or logs, and the module's own level.
    """
    for name, function in functions(tree):
        for node in _own_nodes(function):
            for what, undo in _faults(node):
                yield Change(node.lineno, name, what)
                undo()


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield every function with its qualified name, as its code object has it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield inside + node.name, node
            yield from functions(node, f"{inside}{node.name}.<locals>.")
        else:
            within = f"{inside}{node.name}." if isinstance(node, ast.ClassDef) else inside
            yield from functions(node, within)


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body that compute, without those of functions in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(
            node, ast.FunctionDef | ast.ClassDef | ast.Raise | ast.JoinedStr | ast.Assert
        ):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.AnnAssign):
            children = [node.value] if node.value else []
        waiting += children


def _faults(node: ast.AST):
    """Put each fault into a node in turn; yield what it is, and how to take it out again."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        new = COMPARED[type(node.ops[0])]()
        yield from _set_item(node.ops, 0, new, _name(node.ops[0]))
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED and not _is_text(node):
        yield from _set(node, "op", COMPUTED[type(node.op)](), _name(node.op))
    if isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED and not _is_text(node):
        yield from _set(node, "op", COMPUTED[type(node.op)](), f"{_name(node.op)}=")
    if isinstance(node, ast.BoolOp):
        new = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield from _set(node, "op", new, _name(node.op))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert | ast.Not):
        yield from _set(node, "op", ast.UAdd(), f"{_name(node.op)} gone")
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not _is_raise(node):
        turned = ast.UnaryOp(ast.Not(), node.test)
        yield from _set(node, "test", turned, "condition turned round")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        new = not node.value if isinstance(node.value, bool) else node.value + 1
        yield from _set(node, "value", new, f"{node.value} becomes {new}")
    if isinstance(node, ast.Return) and not _is_none(node.value):
        yield from _set(node, "value", ast.Constant(None), "returns nothing")
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Name) and called.id in NAMED:
        yield from _set(called, "id", NAMED[called.id], f"{called.id} becomes {NAMED[called.id]}")
    if isinstance(called, ast.Attribute) and called.attr in NAMED:
        new = NAMED[called.attr]
        yield from _set(called, "attr", new, f"{called.attr} becomes {new}")


def _set(node: ast.AST, name: str, value, what: str):
    old = getattr(node, name)
    setattr(node, name, value)
    yield what, lambda: setattr(node, name, old)


def _set_item(items: list, place: int, value, what: str):
    old = items[place]
    items[place] = value
    yield what, lambda: items.__setitem__(place, old)


def _name(operator: ast.AST) -> str:
    return type(operator).__name__


def _is_text(node) -> bool:
    """Return whether something is put together of text or lists rather than computed."""
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    kinds = (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp)
    return any(
        isinstance(side, kinds) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _is_raise(node) -> bool:
    return isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise)


def with_change(source: str, number: int) -> str:
    """Return a module's source with the fault of that number in it."""
    tree = ast.parse(source)
    next(itertools.islice(changes(tree), number, None))
    return ast.unparse(tree)
