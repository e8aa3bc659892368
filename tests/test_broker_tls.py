"""A broker at a `rediss://` address: a real server behind TLS, with a certificate of the test's own authority."""

import asyncio
import ssl
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import trustme
from flower.utils.broker import Broker
from kombu.exceptions import OperationalError
from redis import exceptions

from services.broker import check, embedded_broker
from services.submit import accept
from shared.broker_tls import tls
from shared.errors import BadInput, Infrastructure
from tasks.celery import app, reconnect
from tests.support.jobs import running, submit, wait
from tests.support.moving import texture, write_video
from tests.support.node import node
from tests.support.tls import tls_before

REFUSED = (Infrastructure, OperationalError, exceptions.ConnectionError)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


@pytest.fixture(scope="module")
def address(authority, tmp_path_factory):
    """Of a broker whose certificate is for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    with embedded_broker(tmp_path_factory.mktemp("broker")) as broker:
        plain = urlsplit(broker.url)
        with tls_before(plain.port, context) as port:
            yield f"rediss://:{plain.password}@127.0.0.1:{port}/0"


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "clip.mp4", [texture(81, 120, 160)] * 30)


def test_a_job_completes_over_tls(address, authority, video, tmp_path, monkeypatch):
    """With nothing but `rediss://` in the address, and an authority that the system knows, a job is planned, analysed
    and closed; no worker speaks of an insecure connection.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    with running(tmp_path / "data", groups={"light"}, broker_url=address) as stack:
        assert wait(submit(video, "color_analysis"))["job"]["state"] == "completed"
        logs = "".join(worker.log_file.read_text() for worker in stack.workers)
    assert "insecure" not in logs
    assert "ssl_cert_reqs" not in logs


@contextmanager
def celery_at(url, folder):
    """Celery with the broker of this address, for a block."""
    with node(folder, broker_url=url):
        reconnect()
        try:
            yield
        finally:
            app.pool.force_close_all()
    reconnect()


def everybody(url):
    """Those who speak to the broker, each in its own way: redis-py, Celery, its result backend (a new one), Flower."""

    def celery():
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)

    flower = Broker(url, broker_options={}, broker_use_ssl=app.conf.broker_use_ssl).redis
    return (lambda: check(url), celery, app._get_backend().client.ping, lambda: asyncio.run(flower.ping()))


def test_an_authority_that_nobody_knows_is_refused(address, video, tmp_path):
    """A certificate of an unknown authority is refused whoever speaks to the broker; who hands in a video is told in
    one sentence.
    """
    with celery_at(address, tmp_path / "data"):
        for ask in everybody(address):
            with pytest.raises(REFUSED, match="certificate verify failed"):
                ask()
        with pytest.raises(Infrastructure, match="certificate verify failed") as caught:
            accept(video, analyzers=["color_analysis"])
        assert "\n" not in caught.value.message


def test_the_address_may_name_the_authority(address, authority, tmp_path):
    """`?ssl_ca_certs=FILE` is enough for everybody."""
    url = f"{address}?ssl_ca_certs={authority[1]}"
    with celery_at(url, tmp_path / "data"):
        for ask in everybody(url):
            ask()


def test_a_certificate_for_another_host_is_refused(address, authority, tmp_path):
    """One of a known authority is not enough: it must be for the host of the address."""
    url = f"{address}?ssl_ca_certs={authority[1]}".replace("127.0.0.1", "localhost")
    with celery_at(url, tmp_path / "data"):
        for ask in everybody(url):
            with pytest.raises(REFUSED):
                ask()


def test_the_address_may_waive_the_certificate(address, tmp_path):
    """`?ssl_cert_reqs=none` wins for everybody; a word that only some know is refused, no password told."""
    url = f"{address}?ssl_cert_reqs=none"
    with celery_at(url, tmp_path / "data"):
        for ask in everybody(url):
            ask()
    for wrong in ("CERT_REQUIRED", "yes"):
        with pytest.raises(BadInput) as caught:
            tls(f"{address}?ssl_cert_reqs={wrong}")
        said = f"the broker's address has ssl_cert_reqs={wrong}; known are required, optional, none"
        assert caught.value.message == said
    assert tls("redis://127.0.0.1:1/0") is None
