import pytest

from gatewayz.cache.redis_url import Kind, redis_url


@pytest.mark.parametrize("url", ["redis://:pw@h:6379/0", "rediss://h", "unix:///run/redis.sock?db=2"])
def test_the_url_of_one_server_is_taken_as_it_is(url: str) -> None:
    named = redis_url(url)
    assert (named.kind, named.whole) == (Kind.ONE, url)


def test_a_cluster_is_named_by_some_of_its_servers() -> None:
    named = redis_url("rediss+cluster://user:p%40ss@a:7000,b,[::1]:7001?ssl_ca_certs=/ca.pem")
    assert named.kind is Kind.CLUSTER
    assert named.addresses == (("a", 7000), ("b", 6379), ("::1", 7001))
    assert named.at(("10.0.0.1", 7002)) == "rediss://user:p%40ss@10.0.0.1:7002/0?ssl_ca_certs=%2Fca.pem"
    assert named.at(("::1", 7001)).startswith("rediss://user:p%40ss@[::1]:7001/0")


def test_sentinels_have_a_password_of_their_own() -> None:
    named = redis_url("redis+sentinel://:data@a,b:26380/main/3?sentinel_password=wat%2Fch")
    assert (named.kind, named.service) == (Kind.SENTINEL, "main")
    assert named.addresses == (("a", 26379), ("b", 26380))
    assert named.at(("c", 6379)) == "redis://:data@c:6379/3"
    assert named.sentinel_at(("a", 26379)) == "redis://:wat%2Fch@a:26379/0"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:secret@h", "must be a URL such as"),
        ("redis+ring://:secret@h", "must be a URL such as"),
        ("unix+cluster:///secret", "must be a URL such as"),
        ("redis+sentinel://:secret@a:1,b:2", "must name the service"),
        ("redis+sentinel://:secret@a:1/main/nine", "number of a database, not with 'nine'"),
        ("redis+cluster://:secret@a:1/4", "no database but 0"),
        ("redis+cluster://:secret@a:1,b:port", "not 'b:port'"),
        ("redis+cluster://:secret@", "not ''"),
        ("redis+cluster://:secret@a:70000", "not 'a:70000'"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        redis_url(url)
    assert "secret" not in str(caught.value)
