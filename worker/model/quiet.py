"""TensorFlow without its start-up chatter, and without Keras. The one place that imports it."""

from __future__ import annotations

import os

# The C++ part reads this once, while it is imported: 2 leaves errors. An operator's own value stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow imports Keras at once, for whoever loads models by it: 18 MB, and 47 MB and a second more where
# matplotlib is installed, which Keras then imports. Told to use the older tf_keras it does without, if that
# is not there.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf

# Says "load is deprecated" of tf.compat.v1.saved_model.load, the documented way into a Session.
tf.get_logger().setLevel("ERROR")

__all__ = ["tf"]
