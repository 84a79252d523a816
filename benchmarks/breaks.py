"""One-line breaks of Python files, found in their syntax trees.

Left alone is what no test should hold: docstrings, annotations, messages of errors and
logs, help texts, `__all__`, and guards such as `strict=True` of a zip.
"""

import ast
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_OPERATORS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
_SWAPPED = {"min": "max", "max": "min"}
_TEXTS = {"help", "metavar", "description", "prog", "epilog", "formatter_class"}
_LOGS = {"logging", "warnings"}
_GUARDS = {"strict", "allow_pickle", "flush"}  # act only where something else is wrong


class Break(NamedTuple):
    """A text of a file and what takes its place.

    Attributes:
        path: Of the file, from the root of the tree.
        begin: First byte that is replaced.
        end: The byte after the last.
        replacement: Of these bytes.
        kind: What is changed, such as "comparison".
    """

    path: str
    begin: int
    end: int
    replacement: str
    kind: str

    def apply(self, source: bytes) -> bytes:
        """The file's content with the break."""
        return source[: self.begin] + self.replacement.encode() + source[self.end :]

    def describe(self, source: bytes) -> tuple[int, str, str]:
        """The line's number, counted from 1, and what it reads before and after."""
        start = source.rfind(b"\n", 0, self.begin) + 1
        stop = source.find(b"\n", self.end)
        stop = len(source) if stop < 0 else stop
        line, rest = source[start:stop], source[self.end : stop]
        after = source[start : self.begin] + self.replacement.encode() + rest
        before, after = (" ".join(text.decode().split()) for text in (line, after))
        return source.count(b"\n", 0, self.begin) + 1, before, after


def sample_breaks(
    root: Path, folder: str, count: int, seed: int, room: str | None = None
) -> list[Break]:
    """Draws breaks of a package: kinds in turn, so that no kind prevails.

    Args:
        root: Of the tree.
        folder: Of the package in it.
        count: As many as there are, if fewer.
        seed: The same breaks for the same seed and files.
        room: Draws from the package's folder or file of this name only; None: all.
    """
    generator = random.Random(seed)
    by_kind: dict[str, list[Break]] = {}
    for path in sorted((root / folder).rglob("*.py")):
        relative = path.relative_to(root)
        is_linked = path.resolve() != root.resolve() / relative
        if is_linked or (room and Path(relative.parts[1]).stem != room):
            continue
        for one in find_breaks(path.read_bytes(), relative.as_posix()):
            by_kind.setdefault(one.kind, []).append(one)
    for breaks in by_kind.values():
        generator.shuffle(breaks)
    kinds = sorted(by_kind)
    generator.shuffle(kinds)
    chosen: list[Break] = []
    while len(chosen) < count and any(by_kind.values()):
        for kind in kinds:
            if by_kind[kind] and len(chosen) < count:
                chosen.append(by_kind[kind].pop())
    return chosen


def find_breaks(source: bytes, path: str) -> list[Break]:
    """All breaks of one file that are still Python."""
    finder = _Finder(source, path)
    finder.visit(ast.parse(source))
    return [one for one in finder.breaks if _is_python(one.apply(source))]


def _is_python(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    def __init__(self, source: bytes, path: str):
        self.source, self.path = source, path
        self.breaks: list[Break] = []
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def add(self, kind: str, begin: int, end: int, replacement: str) -> None:
        self.breaks.append(Break(self.path, begin, end, replacement, kind))

    def begin(self, node) -> int:
        return self.lines[node.lineno - 1] + node.col_offset

    def end(self, node) -> int:
        return self.lines[node.end_lineno - 1] + node.end_col_offset

    def replace(self, kind: str, node: ast.AST, replacement: str) -> None:
        self.add(kind, self.begin(node), self.end(node), replacement)

    def between(self, kind: str, left: ast.AST, right: ast.AST, operator) -> None:
        """Replaces an operator, which stands between its operands."""
        if type(operator) not in _OPERATORS:
            return
        old, new = _OPERATORS[type(operator)]
        begin = self.end(left)
        gap = self.source[begin : self.begin(right)].decode()
        if found := re.search(r"\s+".join(map(re.escape, old.split())), gap):
            before = len(gap[: found.start()].encode())
            self.add(kind, begin + before, begin + before + len(found[0]), new)

    # what is left alone

    def skip(self, node: ast.AST) -> None:
        """Texts, types and the like."""

    visit_Raise = visit_JoinedStr = skip

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for child in (node.args, *node.body):
            self.visit(child)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node) -> None:
        for child in node.body:
            self.visit(child)

    def visit_arguments(self, node) -> None:
        for default in (*node.defaults, *filter(None, node.kw_defaults)):
            self.visit(default)

    def visit_AnnAssign(self, node) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Assert(self, node) -> None:
        self.visit(node.test)

    def visit_Assign(self, node) -> None:
        if ast.unparse(node.targets[0]) != "__all__":
            self.generic_visit(node)

    def visit_If(self, node) -> None:
        if ast.unparse(node.test) not in (
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        ):
            self.generic_visit(node)

    # what is broken

    def visit_Compare(self, node) -> None:
        operands = [node.left, *node.comparators]
        pairs = zip(operands, operands[1:], node.ops, strict=False)
        for left, right, operator in pairs:
            self.between("comparison", left, right, operator)
        self.generic_visit(node)

    def visit_BinOp(self, node) -> None:
        if not any(map(_is_text, (node.left, node.right))):
            self.between("arithmetic", node.left, node.right, node.op)
        self.generic_visit(node)

    def visit_BoolOp(self, node) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between("and, or", left, right, node.op)
        self.generic_visit(node)

    def visit_UnaryOp(self, node) -> None:
        if isinstance(node.op, ast.Not):
            begin = self.begin(node)
            self.add("not", begin, begin + len("not"), "")
        self.generic_visit(node)

    def visit_Constant(self, node) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace("truth", node, str(not value))
        elif isinstance(value, int):
            self.replace("number", node, str(value + 1))
        elif isinstance(value, float):
            self.replace("number", node, repr(10 * value if value else 1.0))

    def visit_Return(self, node) -> None:
        if node.value and ast.unparse(node.value) != "None":
            self.replace("returned value", node.value, "None")
        self.generic_visit(node)

    def visit_Expr(self, node) -> None:
        if isinstance(node.value, ast.Call) and not _is_log(node.value):
            self.replace("statement", node, "pass")
        self.generic_visit(node)

    def visit_Call(self, node) -> None:
        if _is_log(node):
            return
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _SWAPPED:
            end = self.end(node.func)
            self.add("min, max", end - len(name), end, _SWAPPED[name])
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg not in _TEXTS | _GUARDS:
                self._break_keyword(keyword)
                self.visit(keyword.value)

    def _break_keyword(self, keyword: ast.keyword) -> None:
        if keyword.arg is None:
            return
        begin, end = self.begin(keyword), self.end(keyword)
        comma = re.match(rb"\s*,[ \t]*", self.source[end:])
        self.add("argument left out", begin, end + (comma.end() if comma else 0), "")
        if isinstance(keyword.value, ast.Name | ast.Attribute):
            self.replace("argument replaced", keyword.value, "0")


def _is_text(node: ast.AST) -> bool:
    is_string = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_string or isinstance(node, ast.JoinedStr)


def _is_log(call: ast.Call) -> bool:
    function: Iterator[str] = iter(ast.unparse(call.func).split("."))
    return next(function) in _LOGS
