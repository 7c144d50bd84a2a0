//! The certificates that Node hands over. They apply to the whole process, so this test runs in a
//! process of its own.

use std::fs;
use std::sync::Arc;

use stand_ins::sockets::soon;
use stand_ins::tls::{Certificates, tls_detail};
use tokio::sync::mpsc;
use transport::{
    HttpTransport, Progress, Stage, Transport, TrustSettings, node_roots_are_set, set_node_roots,
};

#[tokio::test]
async fn roots_of_node_are_requested_when_they_are_needed() {
    let certificates = Certificates::new("node");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.self_signed("late", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    certificates.signed("other", "IP:127.0.0.1", "late");
    let server = certificates.serve("server");
    let (ask, mut asked) = mpsc::unbounded_channel();
    let asking = |settings| {
        let ask = ask.clone();
        HttpTransport::new(settings).asking(Arc::new(move || ask.send(()).unwrap()))
    };

    // The transport cannot request Node's certificates, so it trusts only the configured
    // certificates.
    tls_detail(server.ask_with(certificates.extra("late")).await);
    tls_detail(server.ask_with(TrustSettings::default()).await);
    assert!(server.ask(&asking(certificates.extra("ca"))).await.is_ok());
    assert!(asked.try_recv().is_err(), "not needed");

    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let roots = format!("{broken}{}", fs::read_to_string(certificates.path("ca")).unwrap());
    let named = asking(certificates.extra("late"));
    let unnamed = asking(TrustSettings::default());
    let request = server.request();
    let (by_named, by_unnamed) = (Progress::default(), Progress::default());
    let (first, second, ()) = tokio::join!(
        async {
            let mut pass = named
                .admit(&request.endpoint, None, &by_named)
                .await
                .unwrap();
            soon(named.send(&mut pass, &request, &by_named)).await
        },
        async {
            let pass = unnamed.admit(&request.endpoint, None, &by_unnamed).await;
            soon(unnamed.send(&mut pass.unwrap(), &request, &by_unnamed)).await
        },
        async {
            soon(asked.recv()).await.unwrap();
            soon(asked.recv()).await.unwrap();
            assert_eq!(by_named.stage(), Stage::WaitingForEventLoop);
            assert_eq!(by_unnamed.stage(), Stage::WaitingForEventLoop);
            assert!(!node_roots_are_set());
            set_node_roots(&roots);
        }
    );
    assert_eq!((first.unwrap().status, second.unwrap().status), (200, 200));
    assert!(node_roots_are_set());
    assert!(server.ask_with(TrustSettings::default()).await.is_ok());

    set_node_roots(&fs::read_to_string(certificates.path("late")).unwrap());
    let other = certificates.serve("other");
    tls_detail(other.ask(&unnamed).await);
    assert!(asked.try_recv().is_err(), "the roots are set");
}
