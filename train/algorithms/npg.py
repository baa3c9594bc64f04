"""Natural policy gradient (Kakade, 2001): TRPO's step as it is, without line search."""

from train.algorithms.trpo import NaturalSettings, Trpo


class Npg(Trpo):
    """The natural gradient step, its length from δ, taken whole."""

    Settings = NaturalSettings
    searches = False
