"""`python -m pipelines ...` is `postgrad ...`."""

from pipelines.cli import main

if __name__ == "__main__":
    main()
