"""A Redis, and a cluster, for all tests of a module."""

import pytest

from tests.redis_server import RedisCluster, RedisServer


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One server."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes, each with a replica."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
