"""One module a verb; each has ``run(cfg)``, and only here does config become objects."""
