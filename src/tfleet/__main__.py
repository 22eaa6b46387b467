"""`python -m tfleet` is the program `tfleet`."""

from tfleet.deploy.cli import main

if __name__ == "__main__":
    main()
