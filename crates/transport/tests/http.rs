//! The transport over plain sockets: the bytes that it sends, the connections that it uses, and the
//! classification of failures.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use oauth::{Answer, RetryAfter};
use stand_ins::sockets::{Peer, Server, exchange, settle, soon, token_request};
use tokio::{join, time};
use transport::{
    HttpTransport, MAX_BODY, MAX_REQUESTS_PER_ORIGIN, NetworkFault, ProxySettings, ProxyUrl,
    TransportError, TrustSettings,
};
use zeroize::Zeroizing;

fn transport() -> HttpTransport {
    HttpTransport::new(TrustSettings::default())
}

async fn send(transport: &HttpTransport, server: &Server) -> Result<Answer, TransportError> {
    let result = soon(exchange(transport, &server.request())).await;
    settle().await;
    result
}

/// Returns a connection that has carried one answer.
async fn warm(transport: &HttpTransport, server: &Server) -> Peer {
    let (answer, peer) = join!(send(transport, server), async {
        let mut peer = server.accept().await;
        peer.serve("warm").await;
        peer
    });
    assert_eq!(body(answer), "warm");
    peer
}

/// Returns the result of a first request, if the server answers with `bytes` and closes the
/// connection.
async fn fate_of(bytes: &[u8]) -> Result<Answer, TransportError> {
    let server = Server::start().await;
    let transport = transport();
    let (result, ()) = join!(send(&transport, &server), async {
        server.accept_request().await.send(bytes).await;
    });
    result
}

fn body(result: Result<Answer, TransportError>) -> String {
    String::from_utf8(result.unwrap().body.to_vec()).unwrap()
}

fn fault(result: Result<Answer, TransportError>) -> NetworkFault {
    match result {
        Err(TransportError::Network { fault, .. }) => fault,
        other => panic!("expected a network fault, got {other:?}"),
    }
}

#[tokio::test]
async fn request_has_exactly_these_bytes() {
    let server = Server::start().await;
    let transport = transport();
    let mut request = server.request();
    request.authorization = Some(Zeroizing::new("Basic YTpi".into()));
    let (answer, (head, form)) = join!(soon(exchange(&transport, &request)), async {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        peer.answer("{}").await;
        request
    });
    let (line, headers) = head.trim_end().split_once("\r\n").unwrap();
    assert_eq!(line, "POST /token?x=1 HTTP/1.1");
    let mut headers: Vec<&str> = headers.lines().collect();
    headers.sort_unstable();
    let host = format!("host: {}", server.address());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        headers,
        [
            "accept-encoding: identity",
            "accept: application/json",
            "authorization: Basic YTpi",
            "content-length: 29",
            "content-type: application/x-www-form-urlencoded",
            &host,
            &format!("user-agent: keycloak-token-manager/{version}"),
        ]
    );
    assert_eq!(form, b"grant_type=client_credentials");
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.retry_after, &answer.body[..]), (200, None, &b"{}"[..]));
}

#[tokio::test]
async fn body_may_be_chunked_or_end_with_the_connection() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(body(fate_of(chunked).await), "abcde");
    assert_eq!(body(fate_of(b"HTTP/1.0 200 OK\r\n\r\nabcde").await), "abcde");
}

#[tokio::test]
async fn head_is_read_as_leniently_as_by_node() {
    for (name, header) in [
        ("a folded header", "X-Long: a\r\n b\r\n"),
        ("a space before the colon", "X-Space : a\r\n"),
        ("a header without a name", ": a\r\n"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\n{{}}");
        assert_eq!(body(fate_of(answer.as_bytes()).await), "{}", "{name}");
    }
}

#[tokio::test]
async fn transports_to_one_origin_share_connections_until_the_last_is_dropped() {
    let server = Server::start().await;
    let first = transport();
    let second = transport();
    let mut peer = warm(&first, &server).await;
    let (answer, ()) = join!(send(&second, &server), peer.serve("second"));
    assert_eq!(body(answer), "second");
    drop(first);
    let (answer, ()) = join!(send(&second, &server), peer.serve("third"));
    assert_eq!(body(answer), "third");
    drop(second);
    peer.closed().await;
}

/// The transport's error for each way in which a server ends a kept connection.
#[tokio::test]
async fn end_of_a_kept_connection_is_classified_by_how_far_the_answer_came() {
    for (sent, resets, expected) in [
        ("", false, None),
        ("", true, None),
        ("HTTP/1.1 200 OK\r\n", false, None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false, Some(NetworkFault::CutShort)),
        ("garbage\r\n\r\n", false, Some(NetworkFault::Other)),
    ] {
        let server = Server::start().await;
        let transport = transport();
        let mut peer = warm(&transport, &server).await;
        let (result, ()) = join!(send(&transport, &server), async {
            peer.request().await;
            peer.send(sent).await;
            if resets { peer.reset() } else { drop(peer) }
        });
        match expected {
            None => assert_eq!(result.unwrap_err(), TransportError::ConnectionReplaced, "{sent}"),
            Some(expected) => assert_eq!(fault(result), expected, "{sent}"),
        }
        let mut peer = warm(&transport, &server).await;
        let (answer, ()) = join!(send(&transport, &server), peer.serve("kept"));
        assert_eq!(body(answer), "kept");
    }
}

#[tokio::test]
async fn connection_is_not_used_after_thirty_idle_seconds_and_closed_within_another_thirty() {
    let server = Server::start().await;
    let transport = transport();
    let mut peer = warm(&transport, &server).await;
    let pass = async |seconds| {
        time::pause();
        time::advance(Duration::from_secs(seconds)).await;
        time::resume();
    };
    for _ in 0..2 {
        pass(29).await;
        let (answer, ()) = join!(send(&transport, &server), peer.serve("again"));
        assert_eq!(body(answer), "again");
    }
    pass(31).await;
    let second = warm(&transport, &server).await;
    soon(peer.closed()).await;
    pass(31).await;
    settle().await;
    pass(30).await;
    soon(second.closed()).await;
}

#[tokio::test]
async fn connection_is_not_left_half_closed() {
    let server = Server::start().await;
    let transport = transport();
    warm(&transport, &server).await.close().await;
    warm(&transport, &server).await.close().await;
}

#[tokio::test]
async fn one_failure_gives_up_all_kept_connections() {
    let server = Server::start().await;
    let transport = transport();
    let (first, second, mut peers) =
        join!(send(&transport, &server), send(&transport, &server), async {
            let mut peers = [server.accept_request().await, server.accept_request().await];
            for peer in &mut peers {
                peer.answer("warm").await;
            }
            peers
        });
    assert_eq!((body(first), body(second)), ("warm".into(), "warm".into()));
    // The client chooses the connection to use next; after a failure it gives up both connections.
    let (result, ()) = join!(send(&transport, &server), async {
        let [a, b] = &mut peers;
        let used = tokio::select! { _ = a.request() => 0, _ = b.request() => 1 };
        let [a, b] = peers;
        let (used, idle) = if used == 0 { (a, b) } else { (b, a) };
        drop(used);
        idle.closed().await;
    });
    assert_eq!(result.unwrap_err(), TransportError::ConnectionReplaced);
}

/// Acts as a SOCKS 5 proxy (RFC 1928, RFC 1929). Returns the connection and the requested address.
async fn serve_socks(server: &Server, password: Option<&str>, reply: u8) -> (Peer, Vec<u8>) {
    let mut peer = server.accept().await;
    assert_eq!(peer.read().await, [5]);
    let method = if password.is_some() { 2 } else { 0 };
    assert!(peer.read_counted().await.contains(&method));
    peer.send([5, method]).await;
    if let Some(password) = password {
        assert_eq!(peer.read().await, [1]);
        let given = [peer.read_counted().await, peer.read_counted().await].join(&b':');
        assert_eq!(String::from_utf8(given).unwrap(), password);
        peer.send([1, 0]).await;
    }
    let [.., kind] = peer.read::<4>().await;
    let mut address = match kind {
        1 => peer.read::<4>().await.to_vec(),
        3 => peer.read_counted().await,
        other => panic!("address of kind {other}"),
    };
    address.extend(peer.read::<2>().await);
    peer.send([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    (peer, address)
}

#[tokio::test]
async fn socks_proxy_is_used() {
    let proxy = Server::start().await;
    let address = proxy.address();
    for (scheme, endpoint, expected) in [
        ("socks5", "http://127.0.0.1:8080/token", b"\x7f\0\0\x01\x1f\x90".to_vec()),
        ("socks5h", "http://sso.invalid:8080/token", b"sso.invalid\x1f\x90".to_vec()),
    ] {
        for (user, password) in [("", None), ("jane:p%20%C3%A9%3A@", Some("jane:p é:"))] {
            let url = ProxyUrl::parse(&format!("{scheme}://{user}{address}")).unwrap();
            let transport = transport().through(ProxySettings::explicit(url));
            let request = token_request(endpoint);
            let (answer, asked) = join!(soon(exchange(&transport, &request)), async {
                let (mut peer, asked) = serve_socks(&proxy, password, 0).await;
                let (head, _) = peer.request().await;
                assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
                peer.answer("through").await;
                asked
            });
            assert_eq!(body(answer), "through");
            assert_eq!(asked, expected, "{scheme}");
        }
    }
}

#[tokio::test]
async fn refusal_of_a_socks_proxy_is_named_without_its_password() {
    let proxy = Server::start().await;
    let url = ProxyUrl::parse(&format!("socks5://jane:canary@{}", proxy.address())).unwrap();
    let transport = transport().through(ProxySettings::explicit(url));
    let request = token_request("http://127.0.0.1:1/token");
    let (result, _peer) =
        join!(soon(exchange(&transport, &request)), serve_socks(&proxy, Some("jane:canary"), 5));
    let error = result.unwrap_err();
    let shown = format!("(through the proxy socks5://{})", proxy.address());
    assert!(error.to_string().ends_with(&shown), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    assert!(matches!(error, TransportError::Network { .. }), "{error:?}");
}

#[tokio::test]
async fn failure_of_a_new_connection_is_classified() {
    let server = Server::start().await;
    let transport = transport();
    let (result, ()) =
        join!(send(&transport, &server), async { server.accept_request().await.reset() });
    assert_eq!(fault(result), NetworkFault::Reset);

    for cut in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ] {
        let text = String::from_utf8_lossy(cut);
        assert_eq!(fault(fate_of(cut).await), NetworkFault::CutShort, "{text:?}");
    }
}

#[tokio::test]
async fn server_is_unreachable_only_if_no_connection_to_it_was_opened() {
    for (scheme, peer, sent, is_unreachable) in [
        ("http", None, &b"HTTP/1.1 200"[..], false),
        ("http", None, b"garbage\r\n\r\n", false),
        ("https", None, b"", true),
        ("https", None, b"no TLS\r\n\r\n", true),
        ("https", Some("http"), b"HTTP/1.1 502 No\r\n\r\n", true),
        ("https", Some("http"), b"HTTP/1.1 407 No\r\n\r\n", true),
        ("https", Some("http"), b"", true),
        ("http", Some("socks5"), b"\x05\x00\x05\x04\x00\x01\0\0\0\0\0\0", true),
    ] {
        let server = Server::start().await;
        let request = token_request(&format!("{scheme}://{}/token", server.address()));
        let proxy = peer.map(|kind| format!("{kind}://{}", server.address()));
        let settings = proxy.map(|url| ProxySettings::explicit(ProxyUrl::parse(&url).unwrap()));
        let transport = transport().through(settings.unwrap_or_default());
        let (result, ()) = join!(soon(exchange(&transport, &request)), async {
            let mut socket = server.accept().await;
            if scheme == "https" || peer.is_some() {
                socket.read::<1>().await;
            } else {
                socket.request().await;
            }
            socket.send(sent).await;
        });
        let error = result.unwrap_err();
        assert_eq!(error.is_unreachable(), is_unreachable, "{scheme} {peer:?}: {error:?}");
    }
    let error = soon(exchange(&transport(), &token_request("http://127.0.0.1:1/token"))).await;
    assert!(error.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn url_that_http_cannot_carry_fails_without_being_shown() {
    let request = token_request(&format!("http://127.0.0.1:1/{}", "a".repeat(70_000)));
    let error = soon(exchange(&transport(), &request)).await.unwrap_err();
    assert!(!format!("{error:?}").contains("aaa"), "{error:?}");
    assert_eq!(fault(Err(error)), NetworkFault::Other);
}

#[tokio::test]
async fn answer_that_is_not_http_is_a_network_fault_without_its_bytes() {
    let error = fate_of(b"\x15\x03\x01secret\r\n\r\n").await.unwrap_err();
    assert!(format!("{error:?}").contains("cannot read the response as HTTP"), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert_eq!(fault(Err(error)), NetworkFault::Other);
}

#[tokio::test]
async fn body_of_a_mebibyte_is_read_and_one_byte_more_refused() {
    let head = |length| format!("HTTP/1.1 500 No\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let mut largest = head(MAX_BODY);
    largest.resize(largest.len() + MAX_BODY, b'x');
    assert_eq!(fate_of(&largest).await.unwrap().body.len(), MAX_BODY);

    // The transport refuses the answer because of its head, so the server never sends the body.
    let server = Server::start().await;
    let transport = transport();
    let (result, ()) = join!(send(&transport, &server), async {
        let mut peer = server.accept_request().await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
        peer.send(head).await;
        peer.closed().await;
    });
    assert_eq!(result.unwrap_err(), TransportError::BodyTooLarge { status: 200 });
}

#[tokio::test]
async fn failure_without_a_readable_body_is_its_status() {
    let large = format!("Content-Length: {}\r\n\r\n", MAX_BODY + 1);
    let (cut, chunks) =
        ("Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc");
    for (name, status, rest, is_open) in [
        ("too large", "503 No", large.as_str(), true),
        ("too large, and final", "401 No", &large, true),
        ("open", "503 No", cut, true),
        ("open, in chunks", "429 No", chunks, true),
        ("cut off", "500 No", cut, false),
    ] {
        let server = Server::start().await;
        let transport = transport();
        let (result, ()) = join!(send(&transport, &server), async {
            let mut peer = server.accept_request().await;
            peer.send(format!("HTTP/1.1 {status}\r\nRetry-After: 7\r\n{rest}"))
                .await;
            if is_open {
                peer.closed().await;
            }
        });
        let answer = result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(format!("{} No", answer.status), status, "{name}");
        assert!(answer.body.is_empty(), "{name}");
        assert_eq!(answer.retry_after, Some(RetryAfter::After(Duration::from_secs(7))), "{name}");
    }
}

#[tokio::test]
async fn abandoned_request_frees_its_place_and_its_connection() {
    let server = Server::start().await;
    let transport = transport();
    for _ in 0..=MAX_REQUESTS_PER_ORIGIN {
        let peer = tokio::select! {
            _ = send(&transport, &server) => panic!("no answer"),
            peer = server.accept_request() => peer,
        };
        peer.closed().await;
    }
}
