"""Sums, products, powers and functions: the arithmetic between the primaries."""

from rewards.parse import tree as t
from rewards.parse.cursor import MAX_CHAIN
from rewards.parse.names import CALLS, GREEK
from rewards.parse.primaries import Primaries
from rewards.parse.tokens import Token, Unreadable
from rewards.parse.units import parse_unit

TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc")
HYPERBOLIC = ("sinh", "cosh", "tanh")
FUNCTIONS = frozenset(
    (
        *TRIGONOMETRIC, *HYPERBOLIC, *(f"arc{name}" for name in (*TRIGONOMETRIC, *HYPERBOLIC)),
        "ln", "log", "exp", "cis",
    )
)  # fmt: skip
_TIMES = ("*", "\\times", "\\cdot")
_OVER = ("/", "\\div")
SIGNS = ("+", "-", "\\pm", "\\mp")
_STARTERS = frozenset(
    ("\\frac", "\\sqrt", "\\cbrt", "\\binom", "\\lfloor", "\\lceil", "\\infty", "\\begin", "\\hat",
     "\\bar", "\\overline", "\\angle", "\\triangle", "\\sum", "\\prod", "\\det")
)  # fmt: skip


class Expressions(Primaries):
    """Recursive descent: sum, product, power, function."""

    def sum(self) -> t.Tree:
        self.deeper()
        terms = [self.product()]
        while self.text() in SIGNS and not isinstance(terms[0], t.NumberSet):
            sign = self.take().text
            terms.append(_signed(sign, self.product()))
        self.depth -= 1
        return terms[0] if len(terms) == 1 else t.Sum(tuple(terms))

    def product(self) -> t.Tree:
        if self.text() in SIGNS:
            sign = self.take().text
            self.deeper()
            inner = self.product()
            self.depth -= 1
            return _signed(sign, inner)
        start, factors, divisions = self.at, [self.power()], 0
        begun = start
        while (token := self.token()).kind != "end":
            text = self.text()
            if text in _TIMES:
                self.take()
                begun = self.at
                factors.append(self._signed_power())
            elif text == "/" and self.token(1).kind in ("word", "unit"):
                break  # 5/person
            elif text in _OVER or text in ("\\bmod", "\\mod"):
                self.take()
                divisions += 1
                if divisions > MAX_CHAIN:
                    raise Unreadable("too deep")
                begun = self.at
                over, under = t.product_of(factors), self._signed_power()
                factors = [_divided(over, under, modulo=text not in _OVER)]
            elif text == "\\pmod" or (text == "(" and self.text(1) in ("\\mod", "\\bmod")):
                factors = [self._residue(t.product_of(factors))]
            elif token.text in ("U", "u") and isinstance(factors[-1], t.Tuple):
                break
            elif self._is_mixed(start):
                factors = [self._behind(self._mixed(factors[0]))]
            elif self.starts_factor(token) and not self._are_two_numbers(token, begun):
                begun = self.at
                factors.append(self.power())
            else:
                break
        return t.product_of(factors)

    def _residue(self, value: t.Tree) -> t.Tree:
        """`7 \\pmod{10}` or `7 (mod 10)`."""
        if self.take().text == "\\pmod":
            return t.Call("residue", (value, self.argument(whole_number=True)))
        self.take()
        modulus = self.sum()
        self.take(")")
        return t.Call("residue", (value, modulus))

    def _signed_power(self) -> t.Tree:
        if self.text() in ("-", "+"):
            sign = self.take().text
            return _signed(sign, self.power())
        return self.power()

    def starts_factor(self, token: Token) -> bool:
        """Whether `token`, the next one, begins a factor with no sign before it."""
        text, last = token.text, self.tokens[self.at - 1] if self.at else token
        if token.kind in ("word", "unit"):
            return False
        if token.kind == "number":
            return token.spaced or last.kind != "letter"
        if text == "|":
            return not self.in_absolute and not self.in_builder
        if token.kind == "letter" or text in ("(", "{", "["):
            return True
        if token.kind == "money":
            return False
        return text in _STARTERS or text[1:] in FUNCTIONS or text[1:] in GREEK or text[1:] in CALLS

    def _are_two_numbers(self, token: Token, begun: int) -> bool:
        """Whether a number follows another without a sign: 2 3 is no product, √3 2 is one."""
        last = self.tokens[self.at - 1].kind
        return token.kind == "number" and last == self.tokens[begun].kind == "number"

    def _is_mixed(self, start: int) -> bool:
        """Whether a fraction of whole numbers follows a lone whole number, as in 1 1/2."""
        if self.at != start + 1 or not self.tokens[start].text.isdigit():
            return False
        texts = [self.text(ahead) for ahead in range(7)]
        if texts[0] == "\\frac":
            if texts[1] == "{":
                return texts[2].isdigit() and texts[3:5] == ["}", "{"] and texts[5].isdigit()
            return texts[1].isdigit() and (len(texts[1]) == 2 or texts[2].isdigit())
        return texts[0].isdigit() and texts[1] == "/" and texts[2].isdigit()

    def _mixed(self, whole: t.Tree) -> t.Tree:
        if self.text() == "\\frac":
            fraction = self.atom()
        else:
            top = self.atom()
            self.take("/")
            fraction = t.Quotient(top, self.atom())
        assert isinstance(whole, t.Number)
        assert isinstance(fraction, t.Quotient)
        over, under = fraction.over, fraction.under
        if isinstance(over, t.Number) and isinstance(under, t.Number) and under.value:
            return t.Number(whole.value + over.value / under.value)
        raise Unreadable("a mixed number of no whole numbers")

    def power(self) -> t.Tree:
        return self._behind(self.atom())

    def _behind(self, tree: t.Tree) -> t.Tree:
        """The value with the powers, factorials and signs that follow it."""
        for _ in range(MAX_CHAIN):
            text = self.text()
            if text == "!":
                self.take()
                double = self.text() == "!"
                if double:
                    self.take()
                tree = t.Call("!!" if double else "!", (tree,))
            elif text == "%":
                self.take()
                tree = t.Call("percent", (tree,))
            elif text == "\\degrees" or (text == "^" and self.text(1) == "\\circ"):
                self.at += 1 if text == "\\degrees" else 2
                tree = self._degrees(tree)
            elif text == "^":
                self.take()
                exponent = self._exponent()
                rows = t.Matrix((tree.items,)) if isinstance(tree, t.Tuple) else tree
                if exponent == t.Name("T") and isinstance(rows, t.Matrix):
                    tree = t.Call("transpose", (rows,))
                else:
                    tree = t.Power(tree, exponent)
            else:
                return tree
        raise Unreadable("too deep")

    def _degrees(self, tree: t.Tree) -> t.Tree:
        scale = {"C": "celsius", "F": "fahrenheit"}.get(self.text())
        if scale is None and self.token().kind in ("unit", "word"):
            word = self.token().text.casefold()
            scale = {"c": "celsius", "f": "fahrenheit"}.get(word, word)
            scale = scale if scale in ("celsius", "fahrenheit") else None
        unit = parse_unit(scale) if scale else None
        if unit is None:
            return t.Call("degrees", (tree,))
        self.take()
        return t.Quantity(tree, unit)

    def _exponent(self) -> t.Tree:
        self.deeper()
        tree = self.argument(whole_number=True)
        if self.text() == "!":
            self.take()
            tree = t.Call("!", (tree,))
        if self.text() == "^":
            self.take()
            tree = t.Power(tree, self._exponent())
        self.depth -= 1
        return tree

    def function(self, name: str) -> t.Tree:
        if name in ("sum", "prod"):
            return self._series(name)
        if name == "det" and isinstance(matrix := self.atom(), t.Matrix):
            return t.Call("det", (matrix,))
        if name not in FUNCTIONS:
            raise Unreadable(f"unexpected \\{name}")
        base = power = None
        while self.text() in ("_", "^") and self.text(1) != "\\circ":
            if self.take().text == "_":
                base = self.argument(whole_number=True)
            else:
                power = self.argument()
        if power == t.Negative(t.ONE) and name in (*TRIGONOMETRIC, *HYPERBOLIC):
            name, power = "arc" + name, None
        argument = self._function_argument()
        if name == "cis":
            turned = t.Product((t.Name("i"), t.Call("sin", (argument,))))
            return t.Sum((t.Call("cos", (argument,)), turned))
        tree: t.Tree = t.Call(name, (argument, base) if base else (argument,))
        return t.Power(tree, power) if power else tree

    def _series(self, name: str) -> t.Tree:
        """`\\sum_{i=1}^{4} i^2`: the terms, the name that runs, and its bounds."""
        self.deeper()
        for sign in ("_", "{"):
            self.take(sign)
        index = self.take()
        self.take("=")
        low = self.sum()
        for sign in ("}", "^"):
            self.take(sign)
        high = self.argument(whole_number=True)
        if index.kind != "letter":
            raise Unreadable("a sum runs over a letter")
        terms = self.product()
        self.depth -= 1
        return t.Call(name, (terms, t.Name(index.text), low, high))

    def _function_argument(self) -> t.Tree:
        """`(…)`, or the factors that follow without a sign, up to the next function.

        A power behind the bracket is one of the function: cos(x)^2 is the square of cos(x).
        """
        self.deeper()
        if self.text() in ("(", "[", "{"):
            factors = [self.atom()]
        else:
            factors = [self._signed_power()]
            while self.starts_factor(self.token()) and not self._ends_argument(factors):
                factors.append(self.power())
        self.depth -= 1
        return t.product_of(factors)

    def _ends_argument(self, factors: list[t.Tree]) -> bool:
        text = self.text()
        if text in ("(", "["):
            return any(t.names_in(factor) for factor in factors)
        return text[1:] in FUNCTIONS or text in ("{", "|") or self.token().kind == "number"


def _signed(sign: str, tree: t.Tree) -> t.Tree:
    if sign in ("\\pm", "\\mp"):
        return t.PlusMinus(tree, minus_first=sign == "\\mp")
    if isinstance(tree, t.Call) and tree.name == "residue":  # -1 (mod 5) is (-1) (mod 5)
        return t.Call("residue", (_signed(sign, tree.arguments[0]), tree.arguments[1]))
    return tree if sign == "+" else t.Negative(tree)


def _divided(over: t.Tree, under: t.Tree, *, modulo: bool) -> t.Tree:
    """A quotient, of which a percent sign at its end is a sign of the whole: 100/3 %."""
    if modulo:
        return t.Call("mod", (over, under))
    if isinstance(under, t.Call) and under.name == "percent":
        return t.Call("percent", (t.Quotient(over, under.arguments[0]),))
    return t.Quotient(over, under)
