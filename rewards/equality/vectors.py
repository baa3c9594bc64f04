"""Vectors in unit vectors: 3i + 2j is the tuple (3, 2) and the column of 3 and 2."""

from rewards.parse import tree as t

_BASES = (("hat i", "hat j", "hat k"), ("hat x", "hat y", "hat z"), ("i", "j", "k"))
_ZERO = t.Number(t.ONE.value - 1)


def in_components(answer: t.Tree, gold: t.Tree) -> tuple[t.Tree, t.Tree]:
    """Both as tuples, where one is a sum of unit vectors and the other is that or a tuple."""
    listed = [len(tree.items) for tree in (answer, gold) if isinstance(tree, t.Tuple)]
    listed += [len(tree.rows) for tree in (answer, gold) if isinstance(tree, t.Matrix)]
    marked = [_marked(tree) for tree in (answer, gold)]
    if not any(marked) and not listed:
        return answer, gold
    sums = [_components(tree) for tree in (answer, gold)]
    if not any(sums) or (not all(sums) and not listed):
        return answer, gold
    size = max(listed + [max(one) + 1 for one in sums if one])
    both = (
        _tuple(one, size) if one else tree for one, tree in zip(sums, (answer, gold), strict=True)
    )
    return next(both), next(both)


def _tuple(components: dict[int, t.Tree], size: int) -> t.Tuple:
    return t.Tuple(tuple(components.get(place, _ZERO) for place in range(size)))


def _marked(tree: t.Tree) -> bool:
    """Whether a unit vector stands in a tree under a hat or in bold type."""
    kinds = t.Name | t.Sum | t.Product | t.Negative | t.Quotient
    return isinstance(tree, kinds) and t.mentions(tree, *_BASES[0])


def _components(tree: t.Tree) -> dict[int, t.Tree] | None:
    """The factor of each unit vector, by its place; None for what is no sum of them."""
    if not isinstance(tree, t.Name | t.Sum | t.Product | t.Negative | t.Quotient):
        return None
    names = {node.name for node in t.nodes(tree) if isinstance(node, t.Name)}
    basis = next((one for one in _BASES if names & set(one)), None)
    if basis is None or names & set(basis) == {"i"}:
        return None
    return _linear(tree, basis)


def _linear(tree: t.Tree, basis: tuple[str, ...]) -> dict[int, t.Tree] | None:
    if isinstance(tree, t.Name):
        return {basis.index(tree.name): t.ONE} if tree.name in basis else None
    if isinstance(tree, t.Negative):
        inner = _linear(tree.of, basis)
        return inner and {place: t.Negative(factor) for place, factor in inner.items()}
    if isinstance(tree, t.Quotient):
        inner = _linear(tree.over, basis)
        return inner and {place: t.Quotient(x, tree.under) for place, x in inner.items()}
    if isinstance(tree, t.Product):
        vectors = [factor for factor in tree.factors if _linear(factor, basis)]
        scalars = tuple(factor for factor in tree.factors if factor not in vectors)
        if len(vectors) != 1 or any(t.mentions(factor, *basis) for factor in scalars):
            return None
        inner = _linear(vectors[0], basis)
        return inner and {place: t.Product((*scalars, x)) for place, x in inner.items()}
    if not isinstance(tree, t.Sum):
        return None
    found: dict[int, t.Tree] = {}
    for term in tree.terms:
        inner = _linear(term, basis)
        if inner is None:
            return None
        for place, factor in inner.items():
            found[place] = t.Sum((found[place], factor)) if place in found else factor
    return found
