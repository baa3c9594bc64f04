"""Configurations that come with mathgrpo: `mathgrpo train NAME` finds them from any folder."""
