"""The smallest parts of a formula: numbers, names, brackets, roots, sets, matrices."""

import abc
from fractions import Fraction

from rewards.parse import tree as t
from rewards.parse.literals import literal_in_base, repeating_decimal
from rewards.parse.names import ACCENTS, CALLS, FIGURES, GREEK, PAIRS
from rewards.parse.rows import PIECE, Rows
from rewards.parse.tokens import Token, Unreadable


class Primaries(Rows, abc.ABC):
    """Reads primary expressions; what stands inside brackets is read by a subclass."""

    @abc.abstractmethod
    def item(self) -> t.Tree: ...

    @abc.abstractmethod
    def function(self, name: str) -> t.Tree: ...

    @abc.abstractmethod
    def skip_words_behind(self) -> None: ...

    def argument(self, *, whole_number: bool = False) -> t.Tree:
        """What follows `^` or a command: a group, or one token (of a number, one digit)."""
        token = self.token()
        if token.text == "{":
            return self.group()
        if token.text in ("-", "+"):
            self.take()
            self.deeper()
            inner = self.argument(whole_number=whole_number)
            self.depth -= 1
            return t.Negative(inner) if token.text == "-" else inner
        if token.kind == "number" and len(token.text) > 1 and not whole_number:
            rest = Token("number", token.text[1:])
            if not token.text.isdigit():
                raise Unreadable("a decimal where one digit is wanted")
            self.tokens[self.at : self.at + 1] = [Token("number", token.text[0]), rest]
        return self.atom()

    def group(self) -> t.Tree:
        self.take("{")
        self.deeper()
        outer, self.in_absolute = self.in_absolute, 0
        tree = self.sum()
        if self.text() == "\\over":
            self.take()
            tree = t.Quotient(tree, self.sum())
        elif self.text() == "\\choose":
            self.take()
            tree = t.Call("binom", (tree, self.sum()))
        self.skip_words_behind()
        self.in_absolute = outer
        self.take("}")
        self.depth -= 1
        return tree

    def atom(self) -> t.Tree:
        token = self.take()
        text = token.text
        if token.kind == "number":
            return self._number(text)
        if token.kind == "letter":
            return t.Name(self._applied(self.subscripted(text)))
        if token.kind == "word":
            return t.Word(self._phrase(text))
        if token.kind == "unit" or text == "...":
            return t.Word(text)
        if token.kind == "money":
            self.money = token.unit
            return self.atom()
        if text == "{":
            return self._braces()
        if text in ("(", "[", "\\langle"):
            return self.bracketed(text)
        if text == "\\{":
            return self._set()
        if text in PAIRS:
            return self._paired(*PAIRS[text])
        if text[:1] == "\\":
            return self._command(text[1:])
        raise Unreadable(f"unexpected {text!r}")

    def _command(self, name: str) -> t.Tree:
        if name == "frac":
            over = self.argument()
            return t.Quotient(over, self.argument())
        if name in ("sqrt", "cbrt"):
            return self._root(name)
        if name == "binom":
            return self._binomial()
        if name == "begin":
            return self.environment()
        if name in ("infty", "emptyset"):
            return t.INFINITY if name == "infty" else t.Set(())
        if name.startswith("mathbb"):
            return t.NumberSet(name[6:]) if name[6:] in "RZQNC" else t.Name(name[6:])
        if name in CALLS:
            inside = self.atom() if self.text() == "\\{" else self.bracketed(self.take("(").text)
            items = inside.items if isinstance(inside, t.Tuple | t.Set) else (inside,)
            return t.Call(name, items)
        if name in GREEK:
            return t.Name(self.subscripted({"imath": "i", "jmath": "j"}.get(name, name)))
        if name in ACCENTS:
            inner = self.argument()
            return t.Name(self.subscripted(f"{name} {_letters(inner)}"))
        if name in FIGURES:
            letters = []
            while self.token().kind == "letter":
                letters.append(self.take().text)
            if letters:
                return t.Name(f"{name} {''.join(letters)}")
        return self.function(name)

    def _root(self, name: str) -> t.Tree:
        degree: t.Tree = t.TWO if name == "sqrt" else t.Number(Fraction(3))
        if self.text() == "[":
            self.take()
            degree = self.sum()
            self.take("]")
        return t.Call("root", (self.argument(whole_number=True), degree))

    def _binomial(self) -> t.Tree:
        if self.text() == "(":
            pair = self.bracketed(self.take().text)
            if not isinstance(pair, t.Tuple) or len(pair.items) != 2:
                raise Unreadable("a binomial has two numbers")
            return t.Call("binom", pair.items)
        top = self.argument()
        return t.Call("binom", (top, self.argument()))

    def _number(self, digits: str) -> t.Tree:
        mantissa, _, exponent = digits.lower().partition("e")
        if self.text() == "_" and digits.isalnum():
            self.take()
            return literal_in_base(digits, self.argument(whole_number=True))
        if "." in mantissa and self.text() in ("\\overline", "\\bar", "\\dot", "..."):
            return t.Number(self._repeating(mantissa))
        decimal = "." in mantissa and mantissa.rstrip("0")[-1] != "."
        number = t.Number(Fraction(mantissa.rstrip(".")), decimal)
        if exponent:
            power = t.Power(t.TEN, t.Number(Fraction(int(exponent))))
            return t.Product((number, power))
        return number

    def _repeating(self, mantissa: str) -> Fraction:
        if self.take().text == "...":
            return repeating_decimal(mantissa, None)
        braced = self.text() == "{"
        if braced:
            self.take()
        block = self.take().text
        if braced:
            self.take("}")
        return repeating_decimal(mantissa, block)

    def items(self) -> list[t.Tree]:
        self.deeper()
        items = [self.item()]
        while self.text() in (",", ";"):
            self.take()
            items.append(self.item())
        self.depth -= 1
        return items

    def bracketed(self, opening: str) -> t.Tree:
        """What follows an opening bracket: a value in brackets, a tuple, an interval, rows."""
        outer, self.in_absolute = self.in_absolute, 0
        items = tuple(self.items())
        self.in_absolute = outer
        closing = self.take().text
        if closing == "\\rangle":
            return t.Tuple(items)
        if closing not in (")", "]"):
            raise Unreadable(f"expected a closing bracket, found {closing!r}")
        brackets = opening + closing
        single = len(items) == 1 and brackets in ("()", "[]")
        if single and not (isinstance(items[0], t.Tuple) and brackets == "[]"):
            return items[0]
        if brackets == "[]" and all(isinstance(i, t.Tuple) and i.brackets == "[]" for i in items):
            return t.Matrix(tuple(i.items for i in items if isinstance(i, t.Tuple)))
        return t.Tuple(items, brackets)

    def _braces(self) -> t.Tree:
        """A group, or a set that lacks its backslashes: {1, 2}."""
        start = self.at
        try:
            self.at -= 1
            return self.group()
        except Unreadable:
            self.at, self.depth = start, max(0, self.depth - 1)
            items = tuple(self.items())
            if len(items) < 2:
                raise
            self.take("}")
            return t.Set(items)

    def _set(self) -> t.Tree:
        if self.text() == "\\}":
            self.take()
            return t.Set(())
        outer, self.in_builder = self.in_builder, True
        items = self.items()
        if len(items) == 1 and self.text() in ("|", ":"):
            self.take()
            self.in_builder = False
            condition = self.statement()
            self.in_builder = outer
            self.take("\\}")
            return _built(items[0], condition)
        self.in_builder = outer
        self.take("\\}")
        return t.Set(tuple(items))

    def _paired(self, closing: str, name: str) -> t.Tree:
        self.deeper()
        self.in_absolute += closing == "|"
        tree = self.sum()
        self.in_absolute -= closing == "|"
        self.take(closing)
        self.depth -= 1
        return t.Call(name, (tree,))

    def subscripted(self, name: str) -> str:
        """A name with its subscript and primes."""
        while self.text() in ("_", "'"):
            if self.take().text == "'":
                name += "'"
                continue
            name += "_"
            if self.text() == "{":
                self.take()
                while (token := self.take()).text != "}":
                    name += token.text
            else:
                name += self.take().text
        return name

    def _applied(self, name: str) -> str:
        """The name of a function with what it is applied to: f(x)^2 is not f(x^2)."""
        if name.rstrip("'") not in ("f", "g") or self.text() != "(" or self.token().spaced:
            return name
        depth = 0
        while True:
            text = self.take().text
            depth += (text == "(") - (text == ")")
            name += text
            if not depth:
                return name

    def _phrase(self, first: str) -> str:
        words = [first]
        while self.is_word() or self.token().kind == "unit":
            words.append(self.take().text)
        return " ".join(words)


def _built(element: t.Tree, condition: t.Tree) -> t.Tree:
    """`{x | x > 0}` is its condition, `{2k | k \\in Z}` its element."""
    if isinstance(element, t.Member) and element.of != t.REALS:
        return t.SetOperation("intersection", element.of, condition)
    if isinstance(element, t.Name | t.Tuple | t.Member):
        return condition
    if isinstance(condition, t.Member) and condition.of == t.NumberSet("Z"):
        return t.substituted(element, {condition.name: t.Name("n")})
    return t.Tuple((element, condition), PIECE)


def _letters(tree: t.Tree) -> str:
    """What stands under an accent, as part of a name."""
    if isinstance(tree, t.Name | t.Product) and not any(
        not isinstance(node, t.Name | t.Product) for node in t.nodes(tree)
    ):
        return "".join(node.name for node in t.nodes(tree) if isinstance(node, t.Name))
    raise Unreadable("an accent over no name")
