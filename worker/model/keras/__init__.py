"""Keras files: what they say of themselves, and how a child process makes SavedModels of them.

The worker itself never imports Keras.
"""
