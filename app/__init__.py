"""The web app: see what training changed."""
