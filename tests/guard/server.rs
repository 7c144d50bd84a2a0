//! A token endpoint on its own threads, over http or https, that answers every request alike.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Whether a connection is kept after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

/// Starts one and returns its URL. A thread that dies closes its connections, and the next request
/// fails.
pub(super) fn start(body: &str, kept: Kept, tls: Option<Arc<ServerConfig>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let close = match kept {
        Kept::Yes => "",
        Kept::No => "Connection: close\r\n",
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{close}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer, tls) = (stream.unwrap(), answer.clone(), tls.clone());
            thread::spawn(move || match tls {
                None => serve(stream, &answer, kept),
                Some(config) => {
                    let connection = ServerConnection::new(config).unwrap();
                    serve(StreamOwned::new(connection, stream), &answer, kept);
                }
            });
        }
    });
    format!("{scheme}://{address}/realms/r/protocol/openid-connect/token")
}

/// Serves one connection to its end.
fn serve<S: ReadWrite>(mut stream: S, answer: &str, kept: Kept) {
    while read_request(&mut stream).is_some() {
        stream.write_all(answer.as_bytes()).unwrap();
        if kept == Kept::No {
            return stream.finish();
        }
    }
}

/// Reads a request; `None` at the end of the connection.
fn read_request(stream: &mut impl Read) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let length = length.lines().next()?.parse().unwrap();
    stream.read_exact(&mut vec![0; length]).ok()
}

trait ReadWrite: Read + Write {
    fn finish(self);
}

impl ReadWrite for TcpStream {
    fn finish(self) {}
}

impl ReadWrite for StreamOwned<ServerConnection, TcpStream> {
    fn finish(mut self) {
        self.conn.send_close_notify();
        let _ = self.conn.complete_io(&mut self.sock);
    }
}
