//! Derived managers in simulated time: what they share with their parent, and what they do not.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use manager::Reply;
use manager::config::Config;
use manager::derived::{DerivedRequest, ManagerId};
use manager::error::{Error, ErrorKind};
use manager::slot::{Call, Clearing, Invalidation, RouteId};
use oauth::{ACCESS_TOKEN_TYPE, GrantType, Scope, SubjectToken, TokenRequest};
use stand_ins::scripted::{Step, config, refusal, reset, starting, token_answer, wrong_secret};
use stand_ins::simulated::{World, pass};

fn scoped(scope: &str) -> DerivedRequest {
    DerivedRequest {
        grant_type: GrantType::ClientCredentials,
        scope: Scope::parse(scope),
        audience: None,
        resource: None,
        parameters: None,
    }
}

fn exchange(subject: &str) -> DerivedRequest {
    DerivedRequest {
        grant_type: GrantType::TokenExchange {
            subject_token: Arc::new(SubjectToken::new(subject.to_owned()).unwrap()),
            subject_token_type: ACCESS_TOKEN_TYPE.into(),
        },
        ..scoped("openid")
    }
}

fn form(request: &TokenRequest) -> String {
    String::from_utf8(request.body.as_ref().unwrap().to_vec()).unwrap()
}

fn dead_subject() -> Step {
    refusal(400, r#"{"error":"invalid_request","error_description":"Invalid token"}"#)
}

/// The calls that tests make to derived managers.
trait Family {
    fn derive(&self, request: DerivedRequest) -> ManagerId;
    fn ask(&self, id: ManagerId, call: Call) -> Reply;
    async fn token(&mut self, id: ManagerId) -> Result<String, Error>;
}

impl Family for World {
    fn derive(&self, request: DerivedRequest) -> ManagerId {
        self.manager.derive(request).unwrap().0
    }

    fn ask(&self, id: ManagerId, call: Call) -> Reply {
        self.manager.derived(id).unwrap().ask(call)
    }

    async fn token(&mut self, id: ManagerId) -> Result<String, Error> {
        let result = match self.ask(id, Call::Any) {
            Reply::Token(token, _) => Ok(token),
            Reply::Failure(error, _) => Err(error),
            Reply::Flight(_) | Reply::EarlierFlight(_) => loop {
                let (ended, outcome) = self.derived_ends.recv().await.unwrap();
                if ended == id {
                    break outcome
                        .result
                        .or_else(|error| outcome.fallback.ok_or(error));
                }
            },
        };
        result.map(|token| token.access_token.expose().to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_has_its_own_token_and_the_rest_of_the_configuration() {
    let mut config = config();
    config.grant.parameters = vec![("extra".to_owned(), "1".to_owned())];
    let forms = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&forms);
    let mut world = World::with(config, 20, move |_, request| {
        seen.lock().unwrap().push(form(request));
        token_answer(300)
    });
    let (one, two) = (world.derive(scoped("a")), world.derive(scoped("b")));
    assert_eq!(world.any().await.unwrap(), "token-1");
    let start = world.now();
    assert_eq!(world.token(one).await.unwrap(), "token-2");
    assert_eq!(world.token(two).await.unwrap(), "token-3");
    assert!(world.since(start) < Duration::from_millis(100), "one request waits for no other");
    assert_eq!(world.token(one).await.unwrap(), "token-2", "cached");
    let base = "grant_type=client_credentials&client_id=portal&client_secret=s3cr%2Bt";
    let expected = ["", "&scope=a", "&scope=b"].map(|scope| format!("{base}{scope}&extra=1"));
    assert_eq!(*forms.lock().unwrap(), expected);

    assert_eq!(world.manager.derived(one).unwrap().clear(), Clearing::Dropped);
    assert!(matches!(world.ask(two, Call::Any), Reply::Token(..)), "one was cleared");
    let sums = world.manager.snapshot().derived.unwrap();
    assert_eq!((sums.managers, sums.tokens, sums.counters.acquisitions), (2, 1, 2.0));
    world.manager.release(two);
    assert!(world.manager.derived(two).is_none());
    let three = world.derive(scoped("c"));
    let sums = world.manager.snapshot().derived.unwrap();
    assert_eq!((sums.managers, sums.tokens, sums.counters.acquisitions), (2, 0, 2.0));
    world.manager.close();
    assert!(world.manager.derived(three).is_none());
    assert!(world.manager.derive(scoped("d")).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_a_released_manager_is_reused_with_another_version() {
    let mut world = World::new(20, |_, _| token_answer(300));
    let places: Vec<_> = (0..300)
        .map(|number| world.manager.derive(scoped(&format!("s{number}"))).unwrap())
        .collect();
    assert_eq!(places[0].1.place(), (0, 0));
    assert_eq!(places[299].1.place(), (1, 43));
    let (id, memory) = &places[7];
    world.token(*id).await.unwrap();
    let version = memory.version();
    memory.count_hit();
    world.manager.release(*id);
    assert_ne!(memory.version(), version);
    let (next, reused) = world.manager.derive(scoped("next")).unwrap();
    assert_eq!((reused.place(), reused.hits()), ((0, 7), 0.0));
    assert_ne!(next, *id);
    assert_eq!(world.manager.snapshot().derived.unwrap().counters.hits, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_reaches_derived_managers() {
    let forms = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&forms);
    let mut world = World::new(20, move |_, request| {
        seen.lock().unwrap().push(form(request));
        token_answer(300)
    });
    let id = world.derive(scoped("a"));
    world.token(id).await.unwrap();
    let mut changed = config();
    "other".clone_into(&mut changed.grant.client_id);
    world.reconfigure(changed);
    assert_eq!(world.token(id).await.unwrap(), "token-1", "until the new one is there");
    pass(1_000).await;
    assert_eq!(world.token(id).await.unwrap(), "token-2");
    assert!(forms.lock().unwrap()[1].contains("client_id=other"));
}

/// Returns the number of requests that `managers` managers without a token send. The managers
/// receive 100 calls a second, in turn.
async fn requests_of(
    managers: usize,
    minutes: u64,
    step: impl Fn() -> Step + Send + Sync + 'static,
) -> usize {
    let world = World::new(5, move |_, _| step());
    let ids: Vec<_> = (0..managers)
        .map(|number| world.derive(scoped(&format!("s{number}"))))
        .collect();
    for call in 0..minutes * 6_000 {
        let index = usize::try_from(call).unwrap() % managers;
        let _ = world.ask(ids[index], Call::Any);
        pass(10).await;
    }
    world.transport.count()
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_thousand_derived_managers_no_more_requests_than_two() {
    for (name, step) in [
        ("connections are reset", reset as fn() -> Step),
        ("the server starts", || starting(None)),
        ("the secret is wrong", wrong_secret),
    ] {
        fastrand::seed(7);
        let one = requests_of(1, 5, step).await;
        let many = requests_of(1_000, 5, step).await;
        assert!(many <= 2 * one, "{name}: {many} requests instead of {one}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_every_derived_manager_get_a_token_soon_after_an_outage() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let mut world = World::new(5, move |_, _| {
        if down.load(Ordering::SeqCst) {
            reset()
        } else {
            token_answer(300)
        }
    });
    let ids: Vec<_> = (0..100)
        .map(|number| world.derive(scoped(&format!("s{number}"))))
        .collect();
    let first = world.token(ids[0]).await.unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Network);
    for id in &ids {
        let error = world.token(*id).await.unwrap_err();
        assert!(error.is_same_as(&first), "no request of its own");
    }
    assert_eq!(world.warnings(), 1, "one warning for all");
    pass(700).await;
    is_down.store(false, Ordering::SeqCst);
    for id in &ids {
        assert!(matches!(world.ask(*id, Call::Any), Reply::Flight(_)));
    }
    let mut ended = 0;
    while ended < ids.len() {
        let (_, outcome) = world.derived_ends.recv().await.unwrap();
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        ended += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_request_alone_leaves_the_others() {
    for (name, step) in [
        ("scope", refusal(400, r#"{"error":"invalid_scope"}"#)),
        ("audience", refusal(400, r#"{"error":"invalid_client"}"#)),
        ("a status of 500", refusal(500, "")),
        ("no token", refusal(200, "{}")),
    ] {
        let mut world = World::new(5, move |_, request| {
            if form(request).contains("scope=bad") {
                step.clone()
            } else {
                token_answer(300)
            }
        });
        let (bad, good) = (world.derive(scoped("bad")), world.derive(scoped("good")));
        assert!(world.token(bad).await.is_err(), "{name}");
        assert!(world.token(good).await.is_ok(), "{name}");
        assert!(matches!(world.ask(bad, Call::Any), Reply::Failure(..)), "{name}: it cools down");
    }
}

#[tokio::test(start_paused = true)]
async fn routes_share_one_budget_of_dropped_tokens() {
    let mut world = World::new(5, |_, _| token_answer(300));
    let mut dropped = 0;
    for number in 0..12 {
        let id = world.derive(scoped(&format!("s{number}")));
        let token = world.token(id).await.unwrap();
        let outcome = world
            .manager
            .derived(id)
            .unwrap()
            .invalidate(&token, RouteId(number));
        dropped += usize::from(outcome == Invalidation::Dropped);
    }
    assert_eq!(dropped, 8);
}

/// A JWT with this `exp`, in seconds since the epoch.
fn jwt(exp: u64) -> String {
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}"));
    format!("e30.{claims}.s")
}

#[tokio::test(start_paused = true)]
async fn an_exchanged_token_ends_with_the_subject_token() {
    // The simulated clock starts at this time.
    let epoch = 1_000_000_000;
    for (name, subject, life_ms) in [
        ("an hour", jwt(epoch + 3_600), 299_000),
        ("a minute", jwt(epoch + 60), 59_000),
        ("expired", jwt(epoch - 5), 9_000),
        ("opaque", "opaque".to_owned(), 59_000),
    ] {
        let mut world = World::new(0, |_, _| token_answer(300));
        let id = world.derive(exchange(&subject));
        world.token(id).await.unwrap();
        pass(life_ms - 50).await;
        assert!(matches!(world.ask(id, Call::Any), Reply::Token(..)), "{name}");
        pass(20).await;
        while world.derived_ends.try_recv().is_ok() {}
        pass(life_ms).await;
        assert!(matches!(world.ask(id, Call::Any), Reply::Flight(_)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_calls_refresh_the_token_of_a_user() {
    let mut world = World::new(5, |_, _| token_answer(300));
    let id = world.derive(exchange(&jwt(1_000_010_000)));
    world.token(id).await.unwrap();
    let published = world.manager.derived(id).unwrap().published();
    published.count_hit();
    pass(241_000).await;
    assert_eq!(world.transport.count(), 1, "no timer");
    assert_eq!(world.token(id).await.unwrap(), "token-1", "the call does not wait");
    pass(10_000).await;
    assert_eq!(world.token(id).await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_subject_that_ends_takes_its_token_with_it() {
    let mut world = World::new(5, |n, _| {
        if n == 1 {
            token_answer(300)
        } else {
            dead_subject()
        }
    });
    let id = world.derive(exchange(&jwt(1_000_010_000)));
    let other = world.derive(exchange("other"));
    world.token(id).await.unwrap();
    pass(241_000).await;
    assert_eq!(world.token(id).await.unwrap(), "token-1", "held until the server answers");
    pass(10).await;
    let error = world.token(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OAuth);
    assert!(error.to_string().contains("sign in again"), "{error}");
    assert_eq!(world.transport.count(), 2, "a cool-down");
    assert!(matches!(world.ask(other, Call::Any), Reply::Flight(_)), "of this user alone");
}

#[tokio::test(start_paused = true)]
async fn at_most_ten_refused_exchanges_leave_a_manager_per_second() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::new(AtomicUsize::new(0));
    let (seen, count) = (Arc::clone(&times), Arc::clone(&sent));
    let world = World::new(20, move |_, request| {
        if form(request).contains("garbage") {
            count.fetch_add(1, Ordering::SeqCst);
            seen.lock().unwrap().push(());
            dead_subject()
        } else {
            token_answer(300)
        }
    });
    let mut per_second: HashMap<u64, usize> = HashMap::new();
    for call in 0..6_000_u64 {
        let before = sent.load(Ordering::SeqCst);
        let id = world.derive(exchange(&format!("garbage-{call}")));
        let _ = world.ask(id, Call::Any);
        pass(10).await;
        *per_second.entry(call / 100).or_default() += sent.load(Ordering::SeqCst) - before;
    }
    let most = per_second.values().max().copied().unwrap();
    assert!((1..=10).contains(&most), "{most} in a second");
    let service = world.derive(scoped("a"));
    assert!(matches!(world.ask(service, Call::Any), Reply::Flight(_)), "other grants continue");
}

#[tokio::test(start_paused = true)]
async fn one_refused_user_makes_no_other_user_fail() {
    let mut world = World::new(20, |_, request| {
        if form(request).contains("garbage") {
            dead_subject()
        } else {
            token_answer(300)
        }
    });
    let ask = |subject: String| {
        let id = world.derive(exchange(&subject));
        assert!(matches!(world.ask(id, Call::Any), Reply::Flight(_)), "{subject}");
    };
    ask("garbage".to_owned());
    pass(30).await;
    for user in 0..100 {
        ask(format!("user-{user}"));
    }
    let mut refused = 0;
    for _ in 0..101 {
        let (_, outcome) = world.derived_ends.recv().await.unwrap();
        refused += usize::from(outcome.result.is_err());
    }
    assert_eq!((refused, world.transport.count()), (1, 101));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_users_of_two_apis_each_cost_two_exchanges_and_mix_no_tokens() {
    let owners = Arc::new(Mutex::new(HashMap::<String, String>::new()));
    let seen = Arc::clone(&owners);
    let mut world = World::new(15, move |n, request| {
        seen.lock()
            .unwrap()
            .insert(format!("token-{n}"), form(request));
        token_answer(300)
    });
    let mut ids = Vec::new();
    for user in 0..1_000 {
        for api in [user % 20, (user + 1) % 20] {
            let subject = format!("subject.{user}.");
            let request = DerivedRequest {
                scope: Scope::parse(&format!("api-{api}-")),
                ..exchange(&subject)
            };
            ids.push((world.derive(request), subject, format!("api-{api}-")));
        }
    }
    for (id, ..) in &ids {
        assert!(matches!(world.ask(*id, Call::Any), Reply::Flight(_)));
    }
    for _ in 0..ids.len() {
        let (_, outcome) = world.derived_ends.recv().await.unwrap();
        assert!(outcome.result.is_ok());
    }
    for _ in 0..10 {
        for (id, subject, api) in &ids {
            let Reply::Token(token, _) = world.ask(*id, Call::Any) else {
                panic!("a cached token");
            };
            let owners = owners.lock().unwrap();
            let form = &owners[token.access_token.expose()];
            assert!(form.contains(subject) && form.contains(api), "{form}");
        }
    }
    assert_eq!(world.transport.count(), 2_000);
}

#[tokio::test(start_paused = true)]
async fn refreshes_of_derived_managers_are_spread_over_the_window() {
    fastrand::seed(3);
    let times = Arc::new(Mutex::new(Vec::new()));
    let mut config: Config = config();
    config.has_logger = false;
    let seen = Arc::clone(&times);
    let world = World::with(config, 5, move |n, _| {
        seen.lock().unwrap().push(n);
        token_answer(300)
    });
    let ids: Vec<_> = (0..1_000)
        .map(|number| world.derive(scoped(&format!("s{number}"))))
        .collect();
    for id in &ids {
        let _ = world.ask(*id, Call::Any);
    }
    pass(100).await;
    for id in &ids {
        let _ = world.ask(*id, Call::Any);
    }
    pass(218_000).await;
    assert_eq!(world.transport.count(), 1_000);
    let mut most = 0;
    for _ in 0..23 {
        let before = world.transport.count();
        pass(1_000).await;
        most = most.max(world.transport.count() - before);
    }
    assert_eq!(world.transport.count(), 2_000);
    assert!(most <= 100, "{most} in one of 22 seconds");
}

#[tokio::test(start_paused = true)]
async fn a_closing_manager_revokes_its_tokens_within_two_seconds() {
    for (name, answer, revoked, waits_ms) in [
        ("revoked", refusal(200, ""), "revoked 3 of 3 tokens", 20),
        (
            "unknown to the server",
            refusal(200, r#"{"error":"invalid_token"}"#),
            "revoked 0 of 3",
            20,
        ),
        ("refused", refusal(401, ""), "status 401", 20),
        ("no answer", Step::Hang, "revoked 0 of 3 tokens: the server did not answer", 2_000),
    ] {
        let forms = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&forms);
        let mut world = World::new(20, move |_, request| {
            if request.endpoint.as_str().ends_with("/revoke") {
                seen.lock().unwrap().push(form(request));
                answer.clone()
            } else {
                token_answer(300)
            }
        });
        world.any().await.unwrap();
        for id in [world.derive(scoped("a")), world.derive(exchange("user"))] {
            world.token(id).await.unwrap();
        }
        world.derive(scoped("unused"));
        assert!(world.manager.revoke(), "{name}");
        assert!(matches!(world.manager.ask(Call::Any), Reply::Failure(..)), "{name}: closed");
        pass(waits_ms + 5).await;
        assert_eq!(world.sink.revocations.load(Ordering::SeqCst), 1, "{name}");
        let lines = world.sink.lines.lock();
        assert!(lines.iter().any(|(_, line)| line.contains(revoked)), "{name}: {lines:?}");
        let mut tokens: Vec<_> = forms.lock().unwrap().clone();
        tokens.sort();
        assert_eq!(tokens.len(), 3, "{name}");
        assert!(tokens[0].starts_with("token=token-1&client_id=portal"), "{name}: {tokens:?}");
    }
    assert!(!World::new(0, |_, _| token_answer(300)).manager.revoke(), "no token");
}
