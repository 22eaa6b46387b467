"""Commands that load a model, besides the worker itself."""
