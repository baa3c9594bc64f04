"""What every room stands on: errors people can act on, files written whole, progress bars."""
