"""``python -m underlie`` is the command ``underlie``; ``torchrun ... -m underlie fit ...`` starts it several times."""

from underlie.cli import main

if __name__ == "__main__":
    main()
