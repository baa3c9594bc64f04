"""The LaTeX commands that name something: letters, accents, figures, functions, rows."""

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar "
    "partial nabla Re Im imath jmath aleph".split()
)
ACCENTS = frozenset("overline bar hat widehat tilde widetilde dot ddot overbrace".split())
FIGURES = frozenset("angle triangle measuredangle odot square parallelogram".split())
CALLS = frozenset("gcd lcm max min floor ceil abs sgn".split())
MATRICES = ("matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array", "vmatrix")
ROWS = ("cases", "aligned", "align", "align*", "gathered", "split", "equation", "equation*")
PAIRS = {"\\lfloor": ("\\rfloor", "floor"), "\\lceil": ("\\rceil", "ceil"), "|": ("|", "abs")}
