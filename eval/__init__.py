"""Measuring: sample, check, count, with error bars, and compare two results honestly."""
