"""Matrix arithmetic: sums, products, powers, transposes and determinants, where the sizes fit."""

import math

from rewards.equality.exact import rational
from rewards.parse import tree as t

MAX_ENTRIES = 400  # of a matrix that is computed
MAX_SIZE, MAX_SIZE_WITH_NAMES = 10, 4  # rows of a determinant


def matrix_value(tree: t.Tree) -> t.Tree:
    """Sums, products, powers and transposes of matrices as one matrix, where the sizes fit."""
    if isinstance(tree, t.Matrix):
        single = len(tree.rows) == 1 and len(tree.rows[0]) == 1
        return tree.rows[0][0] if single else tree
    if not isinstance(tree, t.Sum | t.Product | t.Negative | t.Quotient | t.Power | t.Call):
        return tree
    parts = [matrix_value(part) for part in t.parts_of(tree)]
    matrices = [part for part in parts if isinstance(part, t.Matrix)]
    if not matrices:
        return tree
    if sum(len(row) for matrix in matrices for row in matrix.rows) > MAX_ENTRIES:
        return tree
    if isinstance(tree, t.Negative):
        return _scaled(matrices[0], (t.Number(-t.ONE.value),))
    if isinstance(tree, t.Quotient) and isinstance(parts[0], t.Matrix) and len(matrices) == 1:
        return _scaled(parts[0], (t.Quotient(t.ONE, parts[1]),))
    if isinstance(tree, t.Call) and tree.name == "transpose":
        return t.Matrix(tuple(zip(*matrices[0].rows, strict=False)))
    if isinstance(tree, t.Power) and isinstance(parts[0], t.Matrix):
        exponent = rational(parts[1])
        if exponent is None or exponent.denominator != 1 or not 1 <= exponent <= 8:
            return tree
        return _product([parts[0]] * int(exponent)) or tree
    if isinstance(tree, t.Product):
        scalars = tuple(part for part in parts if not isinstance(part, t.Matrix))
        product = _product(matrices)
        return (_scaled(product, scalars) if scalars else product) if product else tree
    if isinstance(tree, t.Sum) and len(matrices) == len(parts):
        shapes = {tuple(len(row) for row in matrix.rows) for matrix in matrices}
        if len(shapes) == 1:
            rows = zip(*(matrix.rows for matrix in matrices), strict=True)
            return t.Matrix(tuple(tuple(map(_sum_of, zip(*row, strict=True))) for row in rows))
    return tree


def _sum_of(terms: tuple[t.Tree, ...]) -> t.Tree:
    return t.Sum(tuple(terms)) if len(terms) > 1 else terms[0]


def _scaled(matrix: t.Matrix, scalars: tuple[t.Tree, ...]) -> t.Matrix:
    return t.Matrix(tuple(tuple(t.Product((*scalars, x)) for x in row) for row in matrix.rows))


def _product(matrices: list[t.Matrix]) -> t.Matrix | None:
    """The matrix product, or None where the sizes do not fit."""
    result = matrices[0]
    for matrix in matrices[1:]:
        if any(len(row) != len(matrix.rows) for row in result.rows):
            return None
        columns = list(zip(*matrix.rows, strict=False))
        if len(result.rows) * len(columns) * len(matrix.rows) > MAX_ENTRIES:
            return None
        result = t.Matrix(
            tuple(
                tuple(
                    _sum_of(tuple(t.Product((a, b)) for a, b in zip(row, column, strict=True)))
                    for column in columns
                )
                for row in result.rows
            )
        )
    return result


def determinant(rows: tuple[tuple[t.Tree, ...], ...]) -> t.Tree | None:
    """The determinant of a matrix; None where it is not square, or too large."""
    size = len(rows)
    if any(len(row) != size for row in rows):
        return None
    numbers = [[rational(entry) for entry in row] for row in rows]
    if all(number is not None for row in numbers for number in row) and size <= MAX_SIZE:
        return t.Number(_eliminated(numbers))
    return _by_first_row(rows) if size <= MAX_SIZE_WITH_NAMES else None


def _eliminated(rows: list):
    """The determinant of a matrix of fractions, by elimination."""
    rows, sign = [list(row) for row in rows], 1
    for at in range(len(rows)):
        pivot = next((row for row in range(at, len(rows)) if rows[row][at]), None)
        if pivot is None:
            return t.ONE.value * 0
        if pivot != at:
            rows[at], rows[pivot], sign = rows[pivot], rows[at], -sign
        for row in rows[at + 1 :]:
            factor = row[at] / rows[at][at]
            row[at:] = [x - factor * y for x, y in zip(row[at:], rows[at][at:], strict=True)]
    return sign * math.prod((rows[at][at] for at in range(len(rows))), start=t.ONE.value)


def _by_first_row(rows: tuple[tuple[t.Tree, ...], ...]) -> t.Tree:
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for at, entry in enumerate(rows[0]):
        minor = _by_first_row(tuple((*row[:at], *row[at + 1 :]) for row in rows[1:]))
        term = t.Product((entry, minor))
        terms.append(t.Negative(term) if at % 2 else term)
    return t.Sum(tuple(terms))
