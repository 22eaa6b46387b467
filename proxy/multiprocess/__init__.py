"""One proxy of several processes, `--listeners N`: they share a port, and a parent keeps them.

A listener is what a proxy of one process is, but for what can be there only once: the parent holds the port,
hosts the embedded registry, registers the proxy and adds up what the listeners count.
"""
