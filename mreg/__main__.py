"""``python -m mreg``: the same as the command ``mreg``."""

from mreg.cli.start import main

if __name__ == "__main__":
    main()
