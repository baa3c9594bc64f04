"""The smallest parts of a formula: numbers, names, brackets, roots, functions, matrices."""

import abc
from fractions import Fraction
from typing import Any

from rewards.plain import ROW
from rewards.tokens import Unreadable

Tree = tuple[Any, ...]

MAX_DEPTH = 40

TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = (
    *TRIGONOMETRIC,
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "ln",
    "log",
    "exp",
)
CALLS = ("gcd", "lcm", "max", "min", "floor", "ceil", "abs")
GREEK = (
    "alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "phi", "omega", "pi", "rho",
    "sigma", "tau", "epsilon", "varepsilon", "varphi", "psi", "xi", "eta", "kappa", "nu", "zeta",
)  # fmt: skip
MATRICES = ("matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array")

_PAIRS = {"\\lfloor": ("\\rfloor", "floor"), "\\lceil": ("\\rceil", "ceil"), "|": ("|", "abs")}


class Atoms(abc.ABC):
    """Reads atoms from a list of tokens; what stands inside brackets is read by a subclass."""

    def __init__(self, tokens: list[str]):
        self.tokens, self.at, self.depth = tokens, 0, 0
        self.in_abs = 0
        self.in_builder = False

    @abc.abstractmethod
    def statement(self) -> Tree: ...

    @abc.abstractmethod
    def item(self) -> Tree: ...

    @abc.abstractmethod
    def sum(self) -> Tree: ...

    @abc.abstractmethod
    def power(self) -> Tree: ...

    @abc.abstractmethod
    def signed(self) -> Tree: ...

    def token(self, ahead: int = 0) -> str | None:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.token()
        if token is None or (expected is not None and token != expected):
            raise Unreadable(f"expected {expected or 'more'}, found {token or 'the end'}")
        self.at += 1
        return token

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")

    def _skip_words(self) -> None:
        """Units and remarks behind a value."""
        while (self.token() or "")[:1] == '"' and self.token() not in ('"and', '"or'):
            self.take()

    def _starts_factor(self, token: str) -> bool:
        """Whether `token` begins a factor with no sign before it."""
        if token == "|":
            return not self.in_abs and not self.in_builder
        if token[0].isalpha() or token in ("(", "{", "[") or token == "\\{":
            return token != "\\{"
        if token[0] != "\\":
            return False
        name = token[1:]
        return name in FUNCTIONS or name in GREEK or name in CALLS or token in (
            "\\frac", "\\sqrt", "\\binom", "\\lfloor", "\\lceil", "\\infty", "\\begin",
        )  # fmt: skip

    def argument(self, *, whole_number: bool = False) -> Tree:
        """What follows `^` or a command: a group, or one token (of a number, one digit)."""
        token = self.token()
        if token == "{":
            return self.group("{", "}")
        if token == "-":
            self.take()
            self._deeper()
            inner = self.argument(whole_number=whole_number)
            self.depth -= 1
            return ("neg", inner)
        if token is not None and token.isdigit() and len(token) > 1 and not whole_number:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self.atom()

    def group(self, opening: str, closing: str) -> Tree:
        self.take(opening)
        in_abs, self.in_abs = self.in_abs, 0
        tree = self.sum()
        if self.token() in ("\\over", "\\choose"):
            kind = "/" if self.take() == "\\over" else "binom"
            tree = (kind, tree, self.sum())
        self._skip_words()
        self.in_abs = in_abs
        self.take(closing)
        return tree

    def atom(self) -> Tree:
        token = self.take()
        if token[0].isdigit() or (token[0] == "." and token != "..."):
            return self._number(token)
        if token == "{":
            self.at -= 1
            return self.group("{", "}")
        if token in ("(", "[", "\\langle"):
            return self._bracketed(token)
        if token == "\\{":
            return self._set()
        if token in _PAIRS:
            return self._paired(*_PAIRS[token])
        if token == "\\frac":
            top = self.argument()
            return ("/", top, self.argument())
        if token == "\\binom":
            if self.token() == "(":
                pair = self._bracketed(self.take())
                if pair[0] != "tuple" or len(pair) != 4:
                    raise Unreadable("a binomial has two numbers")
                return ("binom", *pair[2:])
            top = self.argument()
            return ("binom", top, self.argument())
        if token == "\\sqrt":
            root: Tree = ("num", Fraction(2))
            if self.token() == "[":
                self.take()
                root = self.sum()
                self.take("]")
            return ("root", self.argument(whole_number=True), root)
        if token == "\\begin":
            return self._matrix()
        if token in ("\\infty", "\\emptyset", "\\mathbbR"):
            return {"\\infty": ("name", "infinity"), "\\emptyset": ("set",)}.get(token, ("reals",))
        if token[0] == "\\":
            return self._command(token[1:])
        if token.isalpha():
            return ("name", self._subscripted(token))
        if token[0] == '"' and len(token) > 1:
            return ("word", self._words(token))
        raise Unreadable(f"unexpected {token!r}")

    def _number(self, token: str) -> Tree:
        mantissa, _, exponent = token.lower().partition("e")
        if self.token() == "_" and token.isdigit():
            self.take()
            base = self.argument(whole_number=True)
            return ("num", _in_base(token, base))
        if "." in mantissa and self.token() in ("\\overline", "\\bar", "\\dot", "..."):
            return ("num", self._repeating(mantissa))
        kind = "dec" if "." in mantissa and mantissa.rstrip("0")[-1] != "." else "num"
        number: Tree = (kind, Fraction(mantissa.rstrip(".")))
        if exponent:
            ten: Tree = ("num", Fraction(10))
            return ("*", number, ("^", ten, ("num", Fraction(int(exponent)))))
        return number

    def _repeating(self, mantissa: str) -> Fraction:
        """0.1\\overline{6}, or 0.1666… where the block at the end is there at least twice."""
        whole, _, decimals = mantissa.partition(".")
        if self.take() == "...":
            for length in range(1, len(decimals) // 2 + 1):
                block = decimals[-length:]
                if decimals.endswith(block * 2) and (length > 1 or decimals.endswith(block * 3)):
                    decimals = decimals[:-length]
                    break
            else:
                raise Unreadable("an unfinished decimal")
        else:
            braced = self.token() == "{"
            if braced:
                self.take()
            block = self.take()
            if braced:
                self.take("}")
        if not block.isdigit():
            raise Unreadable("a repeating decimal repeats digits")
        shift = 10 ** len(decimals)
        return Fraction(int(whole or "0") * shift + int(decimals or "0"), shift) + Fraction(
            int(block), (10 ** len(block) - 1) * shift
        )

    def _items(self) -> list[Tree]:
        self._deeper()
        items = [self.item()]
        while self.token() in (",", ";"):
            self.take()
            items.append(self.item())
        self.depth -= 1
        return items

    def _bracketed(self, opening: str) -> Tree:
        in_abs, self.in_abs = self.in_abs, 0
        items = self._items()
        self.in_abs = in_abs
        closing = self.take()
        if closing == "\\rangle":
            return ("tuple", "()", *items)
        if closing not in (")", "]"):
            raise Unreadable(f"expected a closing bracket, found {closing!r}")
        if len(items) == 1 and opening + closing in ("()", "[]") and items[0][0] != "tuple":
            return items[0]
        if opening + closing == "[]" and all(item[:2] == ("tuple", "[]") for item in items):
            return ("matrix", tuple(item[2:] for item in items))
        return ("tuple", opening + closing, *items)

    def _set(self) -> Tree:
        if self.token() == "\\}":
            self.take()
            return ("set",)
        outer, self.in_builder = self.in_builder, True
        items = self._items()
        if len(items) == 1 and self.token() in ("|", ":"):
            self.take()
            self.in_builder = False
            items = [self.statement()]
            self.in_builder = outer
            self.take("\\}")
            return items[0]
        self.in_builder = outer
        self.take("\\}")
        return ("set", *items)

    def _paired(self, closing: str, kind: str) -> Tree:
        self.in_abs += closing == "|"
        tree = self.sum()
        self.in_abs -= closing == "|"
        self.take(closing)
        return (kind, tree)

    def _matrix(self) -> Tree:
        kind = self.take()
        if kind not in MATRICES:
            raise Unreadable(f"unexpected {kind!r}")
        if kind == "array" and self.token() == "{":
            while self.take() != "}":
                pass
        rows: list[tuple[Tree, ...]] = []
        while self.token() != "\\end":
            row = [self.sum()]
            while self.token() == "&":
                self.take()
                row.append(self.sum())
            rows.append(tuple(row))
            while self.token() == ROW:
                self.take()
        self.take("\\end")
        self.take(kind)
        return ("matrix", tuple(rows))

    def _command(self, name: str) -> Tree:
        if name in FUNCTIONS:
            return self._function(name)
        if name in CALLS:
            inside = self._bracketed(self.take("("))
            items = inside[2:] if inside[:2] == ("tuple", "()") else (inside,)
            return (name, *items)
        if name in GREEK:
            return ("name", self._subscripted(name))
        raise Unreadable(f"unexpected \\{name}")

    def _function(self, name: str) -> Tree:
        base = power = None
        while self.token() in ("_", "^") and self.token(1) != "\\circ":
            if self.take() == "_":
                base = self.argument(whole_number=True)
            else:
                power = self.argument()
        inverse = power == ("neg", ("num", Fraction(1))) and name in ("sin", "cos", "tan")
        if inverse:
            name, power = "arc" + name, None
        argument = self._function_argument()
        tree: Tree = ("log", argument, base) if base else (name, argument)
        return ("^", tree, power) if power else tree

    def _function_argument(self) -> Tree:
        """`(…)`, or the factors that follow without a sign, up to the next function."""
        self._deeper()
        if self.token() == "(":
            factors = [self.power()]
        else:
            factors = [self.signed()]
            while (token := self.token()) and self._starts_factor(token) and token not in "([{":
                if token[1:] in FUNCTIONS:
                    break
                factors.append(self.power())
        self.depth -= 1
        return product_of(factors)

    def _subscripted(self, name: str) -> str:
        """A name with its subscript and primes."""
        while self.token() in ("_", "'"):
            if self.take() == "'":
                name += "'"
                continue
            name += "_"
            if self.token() == "{":
                self.take()
                while (token := self.take()) != "}":
                    name += token.strip('"')
            else:
                name += self.take()
        return name

    def _words(self, token: str) -> str:
        words = [token[1:]]
        while (self.token() or "")[:1] == '"' and self.token() not in ('"and', '"or'):
            words.append(self.take()[1:])
        return " ".join(words)


def product_of(factors: list[Tree]) -> Tree:
    return factors[0] if len(factors) == 1 else ("*", *factors)


def _in_base(digits: str, base: Tree) -> Fraction:
    if base[0] != "num" or not 2 <= base[1] <= 36:
        raise Unreadable("a number base is between 2 and 36")
    try:
        return Fraction(int(digits, int(base[1])))
    except ValueError:
        raise Unreadable(f"{digits} has no such base") from None
