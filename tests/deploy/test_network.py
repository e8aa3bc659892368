"""Tests of who may reach whom in the cluster: NetworkPolicies as Kubernetes reads them, for every pod."""

from ipaddress import ip_address, ip_network

import pytest
import yaml

from tests.support import deploy
from tests.support.deploy import OVERLAYS, built, objects, pods

OURS = "reelgraph"
NAMESPACE = "kubernetes.io/metadata.name"
PUBLIC, PRIVATE, METADATA = "93.184.215.14", "10.1.2.3", "169.254.169.254"
STORES, BUCKET = "198.51.100.7", "192.0.2.7"
"""In the prefixes that the overlay prod has as placeholders."""


def selects(selector, labels):
    """Whether a label selector takes these labels. An operator that is not known here is an error."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for one in selector.get("matchExpressions", ()):
        value, operator = labels.get(one["key"]), one["operator"]
        held = {
            "In": lambda value=value, one=one: value in one["values"],
            "NotIn": lambda value=value, one=one: value not in one["values"],
            "Exists": lambda value=value: value is not None,
            "DoesNotExist": lambda value=value: value is None,
        }[operator]()
        if not held:
            return False
    return True


def is_peer(rule, other):
    """Whether a rule's peer is the other end: an address, or a pod with its namespace."""
    if "ipBlock" in rule:
        block = rule["ipBlock"]
        inside = "ip" in other and ip_address(other["ip"]) in ip_network(block["cidr"])
        return inside and not any(ip_address(other["ip"]) in ip_network(one) for one in block.get("except", ()))
    if "ip" in other:
        return False
    if "namespaceSelector" in rule:
        there = selects(rule["namespaceSelector"], {NAMESPACE: other["namespace"]})
    else:
        there = other["namespace"] == OURS
    return there and selects(rule.get("podSelector", {}), other["labels"])


def lets(policies, direction, pod, other, port, protocol="TCP"):
    """Whether the policies that select a pod let this connection in or out; without any policy all is let."""
    side, peers = {"Egress": ("egress", "to"), "Ingress": ("ingress", "from")}[direction]
    mine = [one for one in policies if direction in one["policyTypes"] and selects(one["podSelector"], pod["labels"])]
    return not mine or any(
        any(is_peer(peer, other) for peer in rule[peers])
        and any((each["port"], each.get("protocol", "TCP")) == (port, protocol) for each in rule["ports"])
        for policy in mine
        for rule in policy.get(side, ())
    )


def reaches(policies, source, target, port, protocol="TCP"):
    """Whether a connection leaves its source and is let in where that is a pod of ours."""
    leaves = source.get("namespace") != OURS or lets(policies, "Egress", source, target, port, protocol)
    enters = target.get("namespace") != OURS or lets(policies, "Ingress", target, source, port, protocol)
    return leaves and enters


def cluster(overlay):
    """Every pod by its owner's name, and the policies."""
    there = {name: {"namespace": OURS, "labels": labels} for name, labels, _ in pods(overlay)}
    return there, [one["spec"] for one in objects(overlay, "NetworkPolicy")]


def test_every_pod_reaches_what_it_needs_and_nothing_else(overlay):
    """Names, broker, ledger, bucket and the outside: each pod reaches exactly those that its work takes, and none
    another network of the cluster or a cloud's secrets.
    """
    there, policies = cluster(overlay)
    workers = {name for name in there if name.startswith("worker-")}
    inside = "redis" in there
    store = {"ip": STORES}
    targets = {
        "names": ({"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}, 53, set(there)),
        "broker": (there.get("redis", store), 6379, workers | {"api", "flower", "prune"}),
        "ledger": (there.get("postgres", store), 5432, workers | {"api", "prune", "migrate"}),
        "outside": ({"ip": PUBLIC}, 443, {"api", "worker-control", "models-pull"}),
        # to the bucket those as well that reach any public address
        "bucket": ({"ip": BUCKET}, 443, {"api", "worker-control", "models-pull"} | (set() if inside else workers)),
        "private": ({"ip": PRIVATE}, 443, set()),
        "metadata": ({"ip": METADATA}, 80, set()),
        "another": ({"namespace": "another", "labels": {}}, 443, set()),
    }
    if not inside:
        targets["bucket"][2].add("prune")
    for what, (target, port, expected) in targets.items():
        assert {name for name, pod in there.items() if reaches(policies, pod, target, port)} == expected, what
    assert all(reaches(policies, pod, targets["names"][0], 53, "UDP") for pod in there.values())


def test_the_api_is_asked_by_the_ingress_alone(overlay):
    """The ingress controller reaches the API, and where its operator is there Prometheus does; nobody else reaches any
    pod of ours from another namespace.
    """
    there, policies = cluster(overlay)
    for namespace, expected in (
        ("ingress-nginx", {"api"}),
        ("monitoring", {"api"} if overlay == "prod" else set()),
        ("another", set()),
    ):
        stranger = {"namespace": namespace, "labels": {"app.kubernetes.io/component": "api"}}
        for port in (8000, 6379, 5432, 5555):
            found = {name for name, pod in there.items() if reaches(policies, stranger, pod, port)}
            assert found == (expected if port == 8000 else set()), (namespace, port)
    pods_of_ours = [pod for name, pod in there.items() if name != "api"]
    assert not any(reaches(policies, pod, there["api"], 8000) for pod in pods_of_ours)


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return request.param


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("default-deny", test_the_api_is_asked_by_the_ingress_alone),
        ("names", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("to-broker", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("to-ledger", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("to-outside", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("redis", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("postgres", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("requests", test_the_api_is_asked_by_the_ingress_alone),
        ("to-external-broker", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("to-external-ledger", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("to-storage", test_every_pod_reaches_what_it_needs_and_nothing_else),
        ("metrics", test_the_api_is_asked_by_the_ingress_alone),
    ],
)
def test_a_policy_that_is_missing_is_seen(name, rule, monkeypatch):
    """Without any one of the policies the rules above fail."""
    overlay = "prod" if name in {"to-external-broker", "to-external-ledger", "to-storage", "metrics"} else "local"
    whole = [*yaml.safe_load_all(built(overlay))]
    kept = [one for one in whole if (one["kind"], one["metadata"]["name"]) != ("NetworkPolicy", name)]
    assert len(kept) == len(whole) - 1
    monkeypatch.setattr(deploy, "built", lambda _: yaml.safe_dump_all(kept))
    with pytest.raises(AssertionError):
        rule(overlay)


def test_flower_in_the_place_of_migrate_is_seen(monkeypatch):
    """A wrong value in a policy's expression is seen as well."""
    text = built("local").replace("- migrate\n", "- flower\n")
    assert text != built("local")
    monkeypatch.setattr(deploy, "built", lambda _: text)
    with pytest.raises(AssertionError):
        test_every_pod_reaches_what_it_needs_and_nothing_else("local")
