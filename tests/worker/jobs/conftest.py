from tests.support.redis_fixtures import redis, service, shard

__all__ = ["redis", "service", "shard"]
