"""LaTeX and plain arithmetic read into a small tree; linear in time, bounded in size and depth.

A tree is a tuple that begins with its kind. Values: `("num", Fraction)`, `("dec", Fraction)` (a
literal with a decimal point), `("name", str)`, `("word", str)`, operators (`"+"` and `"*"` with
any number of operands, `"neg"`, `"/"`, `"^"`, `"pm"`, `"mp"`), `("percent", x)`, `("deg", x)`, and
functions (`"sin"`, `"log"`, `"!"`, `"binom"`, …). Structures: `("list", separator, items…)`,
`("tuple", brackets, items…)`, `("set", items…)`, `("matrix", rows)`, `("ratio", items…)`,
`("assign", name, x)`, `("chain", operands, relations)`, `("in", name, x)`, `("union", x, y)`,
`("cap", x, y)`, `("without", x, y)`, `("reals",)`. Nothing is ever evaluated here.
"""

from rewards.atoms import FUNCTIONS, GREEK, TRIGONOMETRIC, Atoms, Tree, product_of
from rewards.plain import plain
from rewards.tokens import Unreadable, tokenize

MAX_CHAIN = 40  # divisions or postfix signs in a row

RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="}
APPROXIMATE = (
    "\\approx",
    "\\simeq",
    "\\sim",
    "\\doteq",
    "\\equiv",
    "\\Rightarrow",
    "\\implies",
    "\\to",
)

_TIMES = ("*", "\\times", "\\cdot")
_OVER = ("/", "\\div")
_SIGNS = {"+": "+", "-": "neg", "\\pm": "pm", "\\mp": "mp"}
_SETS = {"\\cup": "union", "\\cap": "cap", "\\setminus": "without", "\\backslash": "without"}


def parse(text: str, *, thousands: bool = True) -> Tree:
    """Read an answer; raises Unreadable if it is too long, too deep, or something else."""
    parser = _Parser(tokenize(plain(text), thousands=thousands))
    tree = parser.statement()
    if parser.token() is not None:
        raise Unreadable(f"unexpected {parser.token()!r}")
    return tree


class _Parser(Atoms):
    """Recursive descent: statement, item, sets, sum, product, power, atom."""

    def statement(self) -> Tree:
        """One item, or several parted by commas, "and" or "or"."""
        items, separators = [self.item()], set()
        while self.token() in (",", ";", '"and', '"or', "&"):
            separators.add(self.take())
            while self.token() in (",", '"and', '"or'):
                separators.add(self.take())
            items.append(self.item())
        if len(items) == 1:
            return items[0]
        separator = "or" if '"or' in separators else "and" if '"and' in separators else ","
        return ("list", separator, *items)

    def item(self) -> Tree:
        """A value, an assignment, a chain of relations, or `x ∈ set`; words around it go."""
        while (self.token() or "")[:1] == '"' and self._starts_value(self.token(1)):
            self.take()
        while self.token() in APPROXIMATE or (self.token() == "=" and self.at == 0):
            self.take()
        if name := self._name_before_equals():
            return ("assign", name, self._last_side())
        operands, relations = [self.sets()], []
        if self.token() in ("\\in", ":") and operands[0][0] == "name" and self.token() == "\\in":
            self.take()
            return ("in", operands[0][1], self.sets())
        while self.token() in RELATIONS or self.token() in APPROXIMATE:
            token = self.take()
            relations.append(RELATIONS.get(token, "="))
            operands.append(self.sets())
        self._skip_words()
        if not relations:
            return operands[0]
        if relations == ["="] and operands[1][0] == "name" and operands[0][0] != "name":
            return ("assign", operands[1][1], operands[0])
        return ("chain", tuple(operands), tuple(relations))

    def _last_side(self) -> Tree:
        value = self.sets()
        while self.token() == "=" or self.token() in APPROXIMATE:
            self.take()
            value = self.sets()
        self._skip_words()
        return value

    def _name_before_equals(self) -> str | None:
        """The name that the tokens up to the next `=` are, and move behind it; else None."""
        depth, end = 0, self.at
        while end < len(self.tokens) and (depth or self.tokens[end] != "="):
            token = self.tokens[end]
            depth += (token in "([{") - (token in ")]}")
            if depth < 0 or (not depth and token in (",", ";", '"and', '"or')):
                return None
            end += 1
        left = self.tokens[self.at : end]
        if end >= len(self.tokens) or not left or not _is_name(left):
            return None
        self.at = end + 1
        name = "".join(left)
        return self._name_before_equals() or name

    def sets(self) -> Tree:
        tree = self.ratio()
        while (token := self.token()) in _SETS or (
            token in ("U", "u", "n") and tree[0] in ("tuple", "union", "cap")
        ):
            self.take()
            tree = (_SETS.get(token or "", "cap" if token == "n" else "union"), tree, self.ratio())
            self._deeper()
        return tree

    def ratio(self) -> Tree:
        parts = [self.sum()]
        while self.token() == ":" and not self.in_builder:
            self.take()
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else ("ratio", *parts)

    def sum(self) -> Tree:
        self._deeper()
        terms = [self.product()]
        while self.token() in _SIGNS:
            sign = _SIGNS[self.take()]
            term = self.product()
            terms.append(term if sign == "+" else (sign, term))
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("+", *terms)

    def product(self) -> Tree:
        if self.token() in _SIGNS:
            sign = _SIGNS[self.take()]
            self._deeper()
            inner = self.product()
            self.depth -= 1
            return inner if sign == "+" else (sign, inner)
        factors, divisions = [self.power()], 0
        while (token := self.token()) is not None:
            if token in _TIMES:
                self.take()
                factors.append(self.signed())
            elif token in _OVER:
                self.take()
                divisions += 1
                if divisions > MAX_CHAIN:
                    raise Unreadable("too deep")
                factors = [("/", product_of(factors), self.signed())]
            elif token in ("U", "u") and factors[-1][0] == "tuple":
                break
            elif self._is_mixed(factors):
                factors = [("+", factors[0], self._fraction())]
            elif self._starts_factor(token):
                factors.append(self.power())
            else:
                break
        return product_of(factors)

    def signed(self) -> Tree:
        if self.token() in ("-", "+"):
            sign = self.take()
            inner = self.power()
            return ("neg", inner) if sign == "-" else inner
        return self.power()

    def _starts_value(self, token: str | None) -> bool:
        if token is None or token in ('"and', '"or'):
            return False
        return token[0].isdigit() or token[0] in '."-(' or self._starts_factor(token)

    def _is_mixed(self, factors: list[Tree]) -> bool:
        """Whether a fraction of whole numbers follows a lone whole number, as in 1 1/2."""
        if len(factors) != 1 or factors[0][0] != "num" or not self.tokens[self.at - 1].isdigit():
            return False
        if self.token() == "\\frac":
            group = self.tokens[self.at + 1 : self.at + 7]
            if (group[0:1] + group[2:4] + group[5:6]) == ["{", "}", "{", "}"]:
                return group[1].isdigit() and group[4].isdigit()
            return bool(group) and group[0].isdigit() and len(group[0]) == 2
        after = self.tokens[self.at : self.at + 3]
        return len(after) == 3 and after[0].isdigit() and after[1] == "/" and after[2].isdigit()

    def _fraction(self) -> Tree:
        if self.token() == "\\frac":
            return self.atom()
        top = self.atom()
        self.take("/")
        return ("/", top, self.atom())

    def power(self) -> Tree:
        tree = self.atom()
        for _ in range(MAX_CHAIN):
            token = self.token()
            if token == "!":
                self.take()
                tree = ("!!", tree) if self.token() == "!" else ("!", tree)
                if tree[0] == "!!":
                    self.take()
            elif token == "%":
                self.take()
                tree = ("percent", tree)
            elif token == "^" and self.token(1) == "\\circ":
                self.at += 2
                tree = ("deg", tree)
            elif token == "^":
                self.take()
                tree = ("^", tree, self.exponent())
            else:
                return tree
        raise Unreadable("too deep")

    def exponent(self) -> Tree:
        self._deeper()
        tree = self.argument(whole_number=True)
        if self.token() == "^":
            self.take()
            tree = ("^", tree, self.exponent())
        self.depth -= 1
        return tree


def _is_name(tokens: list[str]) -> bool:
    """Whether `tokens` name something: x, x_1, f(x), AB, "Area", \\angle ABC, |AB|."""
    first = tokens[0]
    if first[0] == '"':
        return not any(t[0].isdigit() for t in tokens)
    if first in ("\\angle", "\\triangle", "\\overline", "\\widehat"):
        return True
    if first == "|" and len(tokens) > 2 and tokens[-1] == "|":
        tokens = tokens[1:-1]
        first = tokens[0]
        return all(t.isalpha() and t.isupper() for t in tokens)
    if not (first.isalpha() or (first[1:] in GREEK and first != "\\pi")):
        return False
    rest = tokens[1:]
    while rest and rest[0] in ("'", "_"):
        if rest[0] == "'":
            rest = rest[1:]
        elif rest[1:2] == ["{"] and "}" in rest:
            rest = rest[rest.index("}") + 1 :]
        else:
            rest = rest[2:]
    if rest[:5] == ["^", "{", "-", "1", "}"]:
        rest = rest[5:]
    if not rest:
        return True
    if rest[0] == "(" and rest[-1] == ")":
        return first not in ("x", "y", "z")
    return first.isupper() and all(t.isalpha() and t.isupper() for t in rest)


__all__ = ["FUNCTIONS", "TRIGONOMETRIC", "Tree", "Unreadable", "parse"]
