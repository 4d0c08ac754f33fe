"""``python -m wellai_exp``: the same as ``wellai-exp``."""

from wellai_exp.cli import main

if __name__ == "__main__":
    main()
