//! DPoP in a manager: the proof of each attempt, the server's nonces, and a changed key.

#![expect(clippy::float_cmp, clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use manager::config::{Config, DpopConfig};
use manager::error::ErrorKind;
use oauth::{DpopKey, TokenRequest};
use parking_lot::Mutex;
use serde_json::Value;
use stand_ins::scripted::{Step, config, refusal, starting};
use stand_ins::simulated::{World, pass};
use transport::TransportError;

fn with_dpop() -> Config {
    Config {
        dpop: Some(DpopConfig {
            key: Arc::new(DpopKey::generate().unwrap()),
            is_generated: true,
        }),
        ..config()
    }
}

fn bound_token() -> Step {
    refusal(200, r#"{"access_token":"token-#","expires_in":300,"token_type":"DPoP"}"#)
}

fn part(proof: &str, index: usize) -> Value {
    let part = proof.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of the proof in a request.
fn claims(request: &TokenRequest) -> Option<Value> {
    let mut headers = request.headers.iter();
    let (_, proof) = headers.find(|(name, _)| *name == "dpop")?;
    Some(part(proof.expose(), 1))
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_new_proof_with_the_last_nonce_of_the_server() {
    let lost = || Step::Fail(TransportError::ConnectionReplaced);
    let demand = Step::DemandNonce;
    let none = None;
    for (name, steps, nonces, retries) in [
        ("a token at once", vec![], vec![none], 0.0),
        ("a lost connection", vec![lost()], vec![none; 2], 0.0),
        ("a server that starts", vec![starting(None)], vec![none; 2], 1.0),
        ("a nonce", vec![demand("a")], vec![none, Some("a")], 0.0),
        (
            "a nonce, then a server that restarts",
            vec![demand("a"), starting(None), demand("b")],
            vec![none, Some("a"), Some("a"), Some("b")],
            1.0,
        ),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&seen);
        let mut world = World::with(with_dpop(), 20, move |n, request| {
            recorded.lock().push(claims(request).unwrap());
            let index = usize::try_from(n).unwrap() - 1;
            steps.get(index).cloned().unwrap_or_else(bound_token)
        });
        world.any().await.unwrap();
        let seen = seen.lock();
        let found: Vec<_> = seen.iter().map(|claims| claims["nonce"].as_str()).collect();
        assert_eq!(found, nonces, "{name}");
        let mut ids: Vec<_> = seen
            .iter()
            .map(|claims| claims["jti"].to_string())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), nonces.len(), "{name}");
        for claims in seen.iter() {
            assert_eq!(claims["htm"], "POST", "{name}");
            assert_eq!(claims["htu"], "http://127.0.0.1:1/realms/r/token", "{name}");
        }
        assert_eq!(world.manager.snapshot().counters.retries, retries, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_its_own_nonce_ends_the_acquisition() {
    let mut world = World::with(with_dpop(), 20, |_, _| Step::DemandNonce("a"));
    let error = world.any().await.unwrap_err();
    assert_eq!((error.kind(), world.transport.count()), (ErrorKind::OAuth, 2));
    assert!(error.to_string().contains("demands a nonce"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_bearer_token_has_no_proof_and_ignores_nonces() {
    let mut world = World::new(20, |_, request| {
        assert_eq!(claims(request), None);
        Step::DemandNonce("a")
    });
    let error = world.any().await.unwrap_err();
    assert_eq!(world.transport.count(), 1);
    assert!(error.to_string().contains("set dpop: true"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_held_token_keeps_its_key_until_a_token_of_the_changed_configuration_replaces_it() {
    let given = || DpopConfig {
        key: Arc::new(DpopKey::generate().unwrap()),
        is_generated: false,
    };
    // [name, the change, whether the key stays, the number of requests]
    for (name, change, is_kept, requests) in [
        ("another buffer", with_dpop(), true, 1),
        (
            "another scope",
            {
                let mut changed = with_dpop();
                changed.grant.scope = oauth::Scope::parse("read");
                changed
            },
            true,
            2,
        ),
        (
            "a given key",
            Config {
                dpop: Some(given()),
                ..config()
            },
            false,
            2,
        ),
        ("no dpop", config(), false, 2),
    ] {
        let mut world = World::with(with_dpop(), 1_000, |_, request| {
            if claims(request).is_some() {
                bound_token()
            } else {
                refusal(200, r#"{"access_token":"token-#","expires_in":300}"#)
            }
        });
        let proof_key = |world: &World, token: &str| {
            let proof = world
                .manager
                .dpop_proof("GET", "https://api.example/", token, None);
            proof.unwrap().map(|proof| part(&proof, 0)["jwk"].clone())
        };
        let token = world.any().await.unwrap();
        let first = proof_key(&world, &token);
        assert!(first.is_some(), "{name}");
        world.reconfigure(change);
        assert_eq!(proof_key(&world, &token), first, "{name}: the held token is bound to it");
        assert_eq!(world.any().await.unwrap(), token, "{name}");
        pass(10_000).await;
        assert_eq!(world.transport.count(), requests, "{name}");
        let token = world.any().await.unwrap();
        assert_eq!(proof_key(&world, &token) == first, is_kept, "{name}");
        let is_bound = world.manager.snapshot().dpop_thumbprint.is_some();
        assert_eq!(proof_key(&world, &token).is_some(), is_bound, "{name}");
    }
}
