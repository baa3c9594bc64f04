"""Trees in the form in which they are compared: signs ± written out, assignments joined, matrix
arithmetic done."""

from collections.abc import Callable
from fractions import Fraction

from rewards.equality.arithmetic import QuickArithmetic
from rewards.equality.exact import Inexact, exact, rational
from rewards.equality.matrices import matrix_value
from rewards.parse import tree as t
from rewards.parse.names import GREEK
from rewards.parse.units import conversion

MAX_SIGNS = 4  # plus-minus signs in one value


def canonical(tree: t.Tree) -> t.Tree:
    """The tree in the form in which it is compared."""
    if isinstance(tree, t.Number | t.Name | t.Word):
        return tree
    if isinstance(tree, t.List):
        return _list(tree)
    if isinstance(tree, t.Assignment):
        value = canonical(_last_side(tree.value))
        if value == t.Name(tree.name):
            return t.Word("trivial")
        if _is_derivative(value):
            return t.Assignment("", t.Name(tree.name))
        return value if isinstance(value, t.List | t.Set) else t.Assignment(tree.name, value)
    if isinstance(tree, t.Member):
        inside = canonical(tree.of)
        return inside if isinstance(inside, t.Set) else t.Member(tree.name, inside)
    if isinstance(tree, t.Relation):
        return _relation(tree)
    if isinstance(tree, t.Set):
        return t.Set(_flat([canonical(item) for item in tree.items]))
    if isinstance(tree, t.Tuple | t.Quantity | t.Approximation):
        return t.with_parts(tree, canonical)
    if isinstance(tree, t.Product) and _is_named_point(tree.factors):
        return canonical(tree.factors[1])
    if isinstance(tree, t.SetOperation):
        return _set_operation(t.with_parts(tree, canonical))
    if any(isinstance(node, t.Matrix) for node in t.nodes(tree)):
        computed = matrix_value(tree)
        tree = (
            computed if isinstance(computed, t.Matrix) or computed == tree else canonical(computed)
        )
    signs = sum(isinstance(node, t.PlusMinus) for node in t.nodes(tree))
    return _both_signs(tree, signs) if signs else tree


def _is_named_point(factors: tuple[t.Tree, ...]) -> bool:
    """Whether factors are P(1, 2)."""
    name, *point = factors
    named = isinstance(name, t.Name) and len(name.name) == 1 and name.name.isupper()
    return named and len(point) == 1 and isinstance(point[0], t.Tuple)


def _flat(items: list[t.Tree]) -> tuple[t.Tree, ...]:
    return tuple(p for item in items for p in (item.items if isinstance(item, t.List) else (item,)))


def _list(tree: t.List) -> t.Tree:
    if tree.separator == ";":
        return t.List(tuple(canonical(item) for item in tree.items))
    items = [canonical(item) for item in tree.items]
    if (one := _one_value(items)) is not None:
        return one
    named = [item for item in items if isinstance(item, t.Assignment) and item.name]
    names = [item.name for item in named]
    if len(named) == len(items):
        different = sorted(set(names))
        if len(different) == 1:
            return canonical(t.List(tuple(item.value for item in named), tree.separator))
        if len(different) == len(names) and _are_places(different):
            return t.List(_flat([item.value for item in sorted(named, key=lambda i: i.name)]))
        if len(different) == len(names):
            return _tuple_by_name(named)
        if len(names) % len(different) == 0:
            size = len(different)
            groups = [named[i : i + size] for i in range(0, len(named), size)]
            if all(sorted(i.name for i in group) == different for group in groups):
                return t.List(tuple(_tuple_by_name(group) for group in groups))
    elif len(named) == 1 and isinstance(items[0], t.Assignment):
        others = [item for item in items[1:] if not isinstance(item, t.Relation | t.Assignment)]
        if len(others) == len(items) - 1:  # a = 4, -8, -10
            return t.List(_flat([items[0].value, *others]), tree.separator)
    return t.List(_flat(items), tree.separator)


def _one_value(items: list[t.Tree]) -> t.Tree | None:
    """What items say together: 1.5 hours, or 90 minutes; 2x = 10, so x = 5."""
    last = items[-1]
    if isinstance(last, t.Assignment) and (value := rational(last.value)) is not None:
        point = {last.name: value}
        equations = [item for item in items[:-1] if isinstance(item, t.Relation)]
        if len(equations) == len(items) - 1 and all(_holds_at(one, point) for one in equations):
            return last
    quantities = [item for item in items if isinstance(item, t.Quantity)]
    if len(quantities) < len(items):
        return None
    scales = [conversion(item.unit, quantities[0].unit) for item in quantities]
    values = [rational(item.value) for item in quantities]
    if None in scales or None in values or len({item.unit for item in quantities}) < 2:
        return None
    if len({x * y for x, y in zip(scales, values, strict=True)}) > 1:  # type: ignore[operator]
        return None
    small, large = (f(quantities, key=lambda q: q.unit.factor) for f in (min, max))
    return t.Quantity(small.value, small.unit, large.unit)


def _holds_at(equation: t.Relation, point: dict[str, Fraction]) -> bool:
    try:
        return (
            set(equation.signs) == {"="} and len({exact(x, point) for x in equation.operands}) == 1
        )
    except (Inexact, ZeroDivisionError):
        return False


def _are_places(names: list[str]) -> bool:
    """Whether names are one letter with numbers below: x_1, x_2 are the solutions of one x."""
    stems = {name.partition("_")[0] for name in names}
    return len(stems) == 1 and all(name.partition("_")[2].isdigit() for name in names)


def _tuple_by_name(named: list[t.Assignment]) -> t.Tuple:
    return t.Tuple(tuple(item.value for item in sorted(named, key=lambda item: item.name)))


def _set_operation(tree: t.Tree) -> t.Tree:
    assert isinstance(tree, t.SetOperation)
    left, right = tree.left, tree.right
    if isinstance(left, t.Set) and isinstance(right, t.Set) and tree.kind == "union":
        return t.Set(tuple(dict.fromkeys((*left.items, *right.items))))
    return tree


def _last_side(value: t.Tree) -> t.Tree:
    """The last of the sides that a name equals, if those that are numbers agree."""
    if not isinstance(value, t.Relation) or set(value.signs) != {"="}:
        return value
    numbers = tuple(side for side in value.operands if not t.names_in(side))
    if len(numbers) > 1:
        agreed = _relation(t.Relation(numbers, ("=",) * (len(numbers) - 1)))
        if isinstance(agreed, t.Relation):
            return t.Word("contradiction")
    return value.operands[-1]


def _relation(tree: t.Relation) -> t.Tree:
    operands = tree.operands
    if set(tree.signs) <= {">", ">="}:
        return t.Relation(operands[::-1], tuple(x.replace(">", "<") for x in tree.signs[::-1]))
    first, last = operands[0], operands[-1]
    if tree.signs == ("!=",) and isinstance(last, t.PlusMinus):
        both = (t.Relation((first, side), ("!=",)) for side in (last.of, t.Negative(last.of)))
        return t.List(tuple(both), "and")
    if set(tree.signs) != {"="}:
        return tree
    if isinstance(first, t.Tuple) and isinstance(last, t.Tuple):
        return canonical(_in_order_of_axes(first, last))
    if all(operand == last for operand in operands):
        return t.Word("trivial")
    if (
        isinstance(first, t.Ratio)
        and not isinstance(last, t.Approximation)
        and (t.names_in(first) and not t.names_in(last))
    ):
        return t.Assignment("", canonical(last))  # A : B = 7 : 32
    if any(t.names_in(operand) for operand in operands):
        return tree
    if any(isinstance(operand, t.Matrix) for operand in operands):
        return canonical(last)
    if isinstance(last, t.Call) and last.name == "residue":
        return canonical(last) if _are_congruent(operands, last) else tree
    arithmetic = QuickArithmetic()
    exact = [op.exact if isinstance(op, t.Approximation) else op for op in operands]
    numbers = [rational(operand) for operand in exact]
    if numbers[-1] is not None and all(number == numbers[-1] for number in numbers):
        return canonical(last)  # a calculation, such as 2 + 3 = 5
    if all(arithmetic.equal(operand, exact[-1]) is not False for operand in exact[:-1]):
        return canonical(last)
    return tree


def _in_order_of_axes(names: t.Tuple, values: t.Tuple) -> t.Tuple:
    """(y, x) = (1, 2) is the point (2, 1)."""
    axes = [name.name for name in names.items if isinstance(name, t.Name) and name.name in "xyz"]
    if len(axes) != len(values.items) or len(axes) != len(names.items):
        return values
    pairs = sorted(zip(axes, range(len(axes)), strict=True))
    return t.Tuple(tuple(values.items[at] for _, at in pairs), values.brackets)


def _are_congruent(operands: tuple[t.Tree, ...], last: t.Call) -> bool:
    numbers = [rational(operand) for operand in operands[:-1]]
    value, modulus = (rational(part) for part in last.arguments)
    if value is None or not modulus:
        return False
    return all(number is not None and (number - value) % modulus == 0 for number in numbers)


def asked_value(tree: t.Tree) -> t.Tree | None:
    """What an equation says of a quantity that was asked for: 125 of m + n = 125.

    None for an equation that has to be solved, such as 2x = 10, and for other trees.
    """
    if not isinstance(tree, t.Relation) or set(tree.signs) != {"="}:
        return None
    first, last = tree.operands[0], tree.operands[-1]
    if _is_derivative(first):
        return canonical(last)
    if t.names_in(last) and not t.names_in(first):
        first, last = last, first
    if t.names_in(last) or not t.names_in(first) or _is_to_be_solved(first):
        return None
    return canonical(last)


def _is_derivative(tree: t.Tree) -> bool:
    """Whether a tree is dy/dx, ∂f/∂x or d/dx of something."""
    if isinstance(tree, t.Product):
        return _is_derivative(tree.factors[0])
    if not isinstance(tree, t.Quotient) or not isinstance(tree.under, t.Product):
        return False
    marks = {
        part.factors[0] if isinstance(part, t.Product) else part for part in (tree.over, tree.under)
    }
    return marks in ({t.Name("d")}, {t.Name("partial")})


def _is_to_be_solved(left: t.Tree) -> bool:
    """Whether a left side is a polynomial, power, root or size of one letter."""
    names = t.names_in(left)
    if len(names) != 1 or not any(len(name) == 1 or name in GREEK for name in names):
        return False
    if left == t.Call("abs", (t.Name(next(iter(names))),)):
        return False  # |z| = 5
    for node in t.nodes(left):
        if isinstance(node, t.Quotient) and t.names_in(node.under):
            return False
        if isinstance(node, t.Call) and node.name not in ("root", "abs", "ln", "log", "exp"):
            return False
        if isinstance(node, t.Power) and (value := rational(node.exponent)) and value < 0:
            return False
    return True


def _both_signs(tree: t.Tree, signs: int) -> t.Tree:
    """The values of a tree with ±: all together where there is a ∓, else each on its own."""
    if signs > MAX_SIGNS:
        return tree
    if any(isinstance(node, t.PlusMinus) and node.minus_first for node in t.nodes(tree)):
        choices = [[True] * signs, [False] * signs]
    else:
        choices = [[bool(n >> i & 1) for i in range(signs)] for n in reversed(range(2**signs))]
    return t.List(tuple(_with_signs(tree, iter(choice).__next__) for choice in choices))


def _with_signs(tree: t.Tree, positive: Callable[[], bool]) -> t.Tree:
    if isinstance(tree, t.PlusMinus):
        plus = positive() != tree.minus_first
        inner = _with_signs(tree.of, positive)
        return inner if plus else t.Negative(inner)
    return t.with_parts(tree, lambda part: _with_signs(part, positive))
