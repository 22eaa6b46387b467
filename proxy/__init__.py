"""The proxy: forwards requests to live workers (load balancer), or tells clients which worker to use
(p2p).
"""
