"""What a run leaves behind: its folder, checkpoints, metrics, and diagnostics made of them."""
