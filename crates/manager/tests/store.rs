//! The shared store: its entries, and managers that share a store.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use manager::clock::Moment;
use manager::config::{Config, DpopConfig, Target};
use manager::derived::DerivedRequest;
use manager::slot::schedule::Life;
use manager::slot::{Call, Clearing, Invalidation, RouteId, Token};
use manager::store::StoreConfig;
use manager::store::entry::StoreKeys;
use manager::{Level, Reply};
use oauth::{
    ACCESS_TOKEN_TYPE, AccessToken, DpopKey, ExtraHeaders, GrantType, Issuer, Scope, SubjectToken,
    TokenEndpoint, header_value,
};
use stand_ins::scripted::{Step, config, reset, token_answer};
use stand_ins::simulated::{World, pass};
use stand_ins::store::{Condition, SimulatedStore};
use zeroize::Zeroizing;

const SECRET: &str = "a secret of all the replicas";
const DAY: u64 = 86_400_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Moment {
    Moment::new(ms(DAY + millis), ms(20_000 * DAY + millis))
}

fn keys(secret: &str) -> StoreKeys {
    StoreKeys::derive(secret).unwrap()
}

/// Returns a token that a manager requested at time 0. Its `exp` is `expiry` after that time.
fn token(granted: u64, expiry: Option<u64>) -> Token {
    Token {
        access_token: AccessToken::new("the-canary-token".to_owned()).unwrap(),
        dpop_key: None,
        scope: Some("the-canary-scope".into()),
        sent: at(0),
        expiry: expiry.map(|expiry| at(expiry).wall()),
        life: Life::new(ms(granted), ms(60_000)),
    }
}

/// Returns a configuration with a store.
fn sharing() -> Config {
    Config {
        store: Some(StoreConfig {
            keys: Arc::new(keys(SECRET)),
            stores_user_tokens: false,
            can_remake: true,
        }),
        ..config()
    }
}

#[test]
fn only_a_manager_with_the_secret_reads_an_entry_and_only_under_its_key() {
    let (own, config) = (keys(SECRET), config());
    let key = own.entry_key(&config, &config.grant);
    let value = own.seal(&key, &token(300_000, None)).unwrap();
    let read = |keys: &StoreKeys, value: &str| keys.open(&key, value).is_some();
    assert!(read(&own, &value));
    assert!(!read(&keys("a secret of another program"), &value), "another secret");
    assert!(own.open(&own.probe_key(), &value).is_none(), "swapped between keys");
    let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
    for text in [&value, &URL_SAFE_NO_PAD.encode(key.as_str()), key.as_str()] {
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
    }
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[index] ^= 1 << bit;
            assert!(!read(&own, &URL_SAFE_NO_PAD.encode(&altered)), "byte {index}, bit {bit}");
        }
        assert!(!read(&own, &URL_SAFE_NO_PAD.encode(&bytes[..index])), "cut at {index}");
        assert!(!read(&own, &URL_SAFE_NO_PAD.encode(&bytes[index + 1..])), "cut before {index}");
    }
    for (name, value) in [
        ("empty", ""),
        ("another encoding", "+/=="),
        ("JSON", "{\"value\":\"x\"}"),
        ("longer", &format!("{value}AAAA")),
        ("too long", &"A".repeat(3 * 1024 * 1024)),
    ] {
        assert!(!read(&own, value), "{name}");
    }
    assert_ne!(own.seal(&key, &token(300_000, None)).unwrap(), value, "a nonce is used once");
}

#[test]
fn the_key_of_an_entry_depends_on_all_that_decides_which_token_the_server_grants() {
    let base = config();
    let key = |secret: &str, config: &Config| {
        let key = keys(secret).entry_key(config, &config.grant);
        assert!(key.as_str().len() < 64 && key.as_str().is_ascii());
        key
    };
    let own = key(SECRET, &base);
    let change = |change: fn(&mut Config)| {
        let mut config = base.clone();
        change(&mut config);
        key(SECRET, &config)
    };
    for (name, same) in [
        ("the same", change(|_| {})),
        ("name", change(|config| "other".clone_into(&mut config.name))),
        ("time limit", change(|config| config.request_timeout = ms(1))),
        ("buffer", change(|config| config.expiry_buffer = ms(1))),
        (
            "method of authentication",
            change(|config| {
                config.grant.authentication = oauth::ClientAuthentication::SecretBasic;
            }),
        ),
    ] {
        assert_eq!(own, same, "{name}");
    }
    let mut others = vec![
        ("own", own),
        ("secret", key("a secret of another program", &base)),
        ("client", change(|config| config.grant.client_id.push('x'))),
        (
            "server",
            change(|config| {
                let url = TokenEndpoint::parse("http://127.0.0.1:2/realms/r/token").unwrap();
                config.target = Target::Endpoint(url);
            }),
        ),
        (
            "issuer",
            change(|config| {
                let url = "http://127.0.0.1:1/realms/r/token";
                config.target = Target::Issuer(Issuer::parse(url).unwrap());
            }),
        ),
        ("scope", change(|config| config.grant.scope = Scope::parse("a b"))),
        ("another scope", change(|config| config.grant.scope = Scope::parse("a"))),
        (
            "parameter",
            change(|config| config.grant.parameters = vec![("a".to_owned(), "b".to_owned())]),
        ),
        (
            "shifted parameter",
            change(|config| config.grant.parameters = vec![("ab".to_owned(), String::new())]),
        ),
        (
            "header",
            change(|config| {
                let value = header_value(Zeroizing::new("b".to_owned())).unwrap();
                config.headers = ExtraHeaders::new(vec![("a".to_owned(), value)]);
            }),
        ),
        (
            "bound key",
            change(|config| {
                config.dpop = Some(DpopConfig {
                    key: Arc::new(DpopKey::generate().unwrap()),
                    is_generated: false,
                });
            }),
        ),
    ];
    while let Some((name, key)) = others.pop() {
        assert!(others.iter().all(|(_, other)| *other != key), "{name}");
    }
}

#[test]
fn a_token_from_the_store_ends_two_seconds_earlier_than_its_writer_ends_it() {
    let (keys, config) = (keys(SECRET), config());
    let key = keys.entry_key(&config, &config.grant);
    // The lifetime, the `exp`, the time by the reader's clock, and the time by that clock at which
    // the reader stops using the token.
    for (name, granted, expiry, now, end) in [
        ("young", 300_000, None, 10, Some(297_000)),
        ("old", 300_000, None, 290_000, Some(297_000)),
        ("over", 300_000, None, 297_000, Some(297_000)),
        ("short", 6_000, None, 10, Some(3_500)),
        ("shortest", 1_000, None, 10, Some(500)),
        ("claims agree", 300_000, Some(299_000), 10, Some(297_000)),
        ("claims of a clock behind the writer's", 300_000, Some(297_000), 10, Some(295_000)),
        ("claims of a clock far behind", 300_000, Some(200_000), 10, Some(198_000)),
        ("claims of a clock ahead", 300_000, Some(900_000), 10, Some(297_000)),
    ] {
        let value = keys.seal(&key, &token(granted, expiry)).unwrap();
        let stored = keys.open(&key, &value).unwrap();
        let found = stored.into_token(at(now), ms(60_000), None).unwrap();
        let ends = found.remaining(at(now)).as_millis() + u128::from(now);
        assert_eq!(Some(ends), end, "{name}");
        assert_eq!(found.age(at(now)), ms(now), "{name}");
        assert!(found.life.soft() <= found.life.hard(), "{name}");
        assert_eq!(found.access_token.expose(), "the-canary-token");
        assert_eq!(found.scope.as_deref(), Some("the-canary-scope"));
    }
    for (name, behind, expected) in [
        ("the reader's clock is a little behind", 4_000, Some(297_000)),
        ("far behind", 4_001, None),
    ] {
        let value = keys.seal(&key, &token(300_000, None)).unwrap();
        let now = Moment::new(ms(1), at(0).wall().saturating_sub(ms(behind)));
        let token = keys
            .open(&key, &value)
            .unwrap()
            .into_token(now, ms(60_000), None);
        let remaining = token.map(|token| token.remaining(now).as_millis());
        assert_eq!(remaining, expected, "{name}");
    }
}

/// Creates a replica whose server grants the tokens `<name>-1`, `<name>-2` and so on.
fn replica_of(config: Config, name: &'static str, store: &Arc<SimulatedStore>) -> World {
    let answer = move |number, _: &_| Step::Answer {
        status: 200,
        retry_after: None,
        body: format!("{{\"access_token\":\"{name}-{number}\",\"expires_in\":300}}"),
    };
    World::with(config, 20, answer).share(store)
}

fn replica(name: &'static str, store: &Arc<SimulatedStore>) -> World {
    replica_of(sharing(), name, store)
}

async fn forced(world: &mut World) -> String {
    let Reply::Flight(_) = world.manager.ask(Call::Forced) else {
        panic!("expected a flight");
    };
    let (_, outcome, _) = world.flight_end().await;
    outcome.result.unwrap().access_token.expose().to_owned()
}

/// Makes the store work again and checks that the manager uses it after a probe.
async fn uses_store_again(store: &SimulatedStore, world: &mut World, name: &str) {
    store.set(Condition::Works);
    pass(5_500).await;
    store.take_calls();
    forced(world).await;
    pass(1).await;
    assert_eq!(store.take_calls(), ["set"], "{name}");
}

#[tokio::test(start_paused = true)]
async fn one_replica_requests_a_token_and_the_others_take_it_from_the_store() {
    let store = Arc::default();
    let (mut a, mut b) = (replica("a", &store), replica("b", &store));
    assert_eq!(a.any().await.unwrap(), "a-1");
    pass(1).await;
    assert_eq!(store.take_calls(), ["get", "set"]);
    assert_eq!(b.any().await.unwrap(), "a-1");
    assert_eq!(store.take_calls(), ["get"]);
    assert_eq!((a.transport.count(), b.transport.count()), (1, 0));
    let counters = b.manager.snapshot().counters;
    assert_eq!((counters.store_hits, counters.store_failures), (1.0, 0.0));
    assert_eq!(forced(&mut b).await, "b-1", "a forced refresh does not read the store");
    pass(1).await;
    assert_eq!(store.take_calls(), ["set"]);
    // When one replica refreshes, all replicas get the new token.
    for _ in 0..10 {
        pass(100_000).await;
        let tokens = [a.any().await.unwrap(), b.any().await.unwrap()];
        assert_eq!(a.any().await.unwrap(), tokens[0]);
        pass(10_000).await;
    }
    let requests = a.transport.count() + b.transport.count();
    assert!((6..=8).contains(&requests), "{requests} requests in 1,100 s");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_token_does_not_come_back_from_the_store() {
    type Drop = fn(&World) -> bool;
    let drops: [(&str, Drop); 3] = [
        ("rejected", |world| world.manager.invalidate("a-1", RouteId(0)) == Invalidation::Dropped),
        ("cleared", |world| world.manager.clear() == Clearing::Dropped),
        ("another origin", |world| {
            world.manager.drop_token();
            true
        }),
    ];
    for (name, drop) in drops {
        let store = Arc::<SimulatedStore>::default();
        let (mut a, mut b) = (replica("a", &store), replica("b", &store));
        a.any().await.unwrap();
        pass(1).await;
        let entries = store.entries.lock().clone();
        assert_eq!(b.any().await.unwrap(), "a-1");
        store.take_calls();
        assert!(drop(&b), "{name}");
        pass(1).await;
        assert_eq!(store.take_calls(), ["delete"], "{name}");
        assert!(store.entries.lock().is_empty(), "{name}");
        // An attacker, or a replica, writes the old entry again.
        store.entries.lock().extend(entries);
        assert_eq!(b.any().await.unwrap(), "b-1", "{name}");
        pass(1).await;
        // The other replica drops the same token, and then takes the token granted since.
        assert!(drop(&a), "{name}");
        pass(2).await;
        assert_eq!(forced(&mut b).await, "b-2", "{name}");
        pass(1).await;
        assert_eq!(a.any().await.unwrap(), "b-2", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_receives_only_tokens_that_every_replica_may_use() {
    let own_key = |config: &mut Config, is_generated| {
        config.dpop = Some(DpopConfig {
            key: Arc::new(DpopKey::generate().unwrap()),
            is_generated,
        });
    };
    for (name, change, expected) in [
        (
            "a generated key",
            (|own: &dyn Fn(&mut Config, bool), config: &mut Config| own(config, true))
                as fn(&dyn Fn(&mut Config, bool), &mut Config),
            &[][..],
        ),
        ("a key of the options", |own, config| own(config, false), &["get", "set"]),
    ] {
        let store = Arc::<SimulatedStore>::default();
        let mut config = sharing();
        change(&own_key, &mut config);
        let answer = |_, _: &_| Step::Answer {
            status: 200,
            retry_after: None,
            body: "{\"access_token\":\"t\",\"token_type\":\"DPoP\",\"expires_in\":300}".to_owned(),
        };
        let mut world = World::with(config, 20, answer).share(&store);
        assert_eq!(world.any().await.unwrap(), "t");
        pass(1).await;
        assert_eq!(store.take_calls(), expected, "{name}");
    }
    for (stores_user_tokens, expected) in [(false, &[][..]), (true, &["get", "set"])] {
        let store = Arc::<SimulatedStore>::default();
        let mut config = sharing();
        config.store.as_mut().unwrap().stores_user_tokens = stores_user_tokens;
        let mut world = replica_of(config, "a", &store);
        let subject = SubjectToken::new("a-user".to_owned()).unwrap();
        let request = DerivedRequest {
            grant_type: GrantType::TokenExchange {
                subject_token: Arc::new(subject),
                subject_token_type: ACCESS_TOKEN_TYPE.into(),
            },
            scope: None,
            audience: None,
            resource: None,
            parameters: None,
        };
        let (id, _) = world.manager.derive(request).unwrap();
        let _ = world.manager.derived(id).unwrap().ask(Call::Any);
        world.derived_ends.recv().await.unwrap().1.result.unwrap();
        pass(1).await;
        assert_eq!(store.take_calls(), expected, "{stores_user_tokens}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_fails_no_call_and_is_over_within_ten_seconds() {
    for (name, condition, longest, failures) in [
        ("slow", Condition::Slow(100), 220, 0),
        ("too slow", Condition::Slow(300), 270, 1),
        ("frozen", Condition::Hangs, 270, 1),
        ("down", Condition::Fails, 20, 2),
        ("full", Condition::Full, 20, 1),
        ("not called, because the event loop is blocked", Condition::Blocked, 270, 0),
        ("called before the event loop blocks", Condition::Stalled, 270, 0),
    ] {
        let store = Arc::<SimulatedStore>::default();
        store.set(condition);
        let mut world = replica("a", &store);
        let start = world.now();
        assert_eq!(world.any().await.unwrap(), "a-1", "{name}");
        assert!(world.since(start) <= ms(longest), "{name}: {:?}", world.since(start));
        pass(600).await;
        let failed = world.manager.snapshot().counters.store_failures;
        assert!((failed - f64::from(failures)).abs() < 0.5, "{name}: {failed}");
        let warnings = usize::from(failures > 0);
        assert_eq!(world.warnings(), warnings, "{name}: {:?}", world.sink.lines.lock());
        // Further calls to the manager do not wait for the store, which receives few calls.
        let is_out =
            matches!(condition, Condition::Slow(300) | Condition::Hangs | Condition::Fails);
        if is_out {
            store.take_calls();
            for _ in 0..100 {
                let start = world.now();
                forced(&mut world).await;
                assert!(world.since(start) <= ms(20), "{name}");
                pass(600).await;
                assert!(store.in_flight() <= 2, "{name}");
            }
            let calls = store.take_calls();
            let probes = calls.iter().filter(|call| **call == "get").count();
            // The manager does not probe a store that has not answered the last probe.
            let expected = if condition == Condition::Hangs { 6 } else { 12 };
            assert!(probes.abs_diff(expected) <= 1, "{name}: {probes} probes in a minute");
            assert!(calls.contains(&"remake") && !calls.contains(&"set"), "{name}");
            assert_eq!(world.warnings(), warnings, "{name}");
        }
        uses_store_again(&store, &mut world, name).await;
        let lines = world.sink.lines.lock();
        let recoveries = lines.iter().filter(|(level, line)| {
            *level == Level::Info && line.contains("the shared store works again")
        });
        assert_eq!(recoveries.count(), warnings, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_has_one_probe_in_flight() {
    // An hour has 720 probe intervals. A probe that hangs extends its interval by 250 ms.
    use Condition::{Hangs, Stuck};
    for (name, can_remake, condition, probes, remakes, failures) in [
        ("the store keeps its client", false, Hangs, 1, 0, 721.0),
        ("the store replaces its client", true, Hangs, 351, 351, 703.0),
        ("the replacement hangs", true, Stuck, 1, 1, 721.0),
    ] {
        let store = Arc::<SimulatedStore>::default();
        store.set(condition);
        let mut config = sharing();
        config.store.as_mut().unwrap().can_remake = can_remake;
        let mut world = replica_of(config, "a", &store);
        world.any().await.unwrap();
        pass(600).await;
        assert_eq!(store.take_calls(), ["get"], "{name}");
        for _ in 0..720 {
            pass(5_000).await;
            // The first call, a probe and, if replacing the client hangs, that call too.
            let most = if condition == Stuck { 3 } else { 2 };
            assert!(store.in_flight() <= most, "{name}: {} calls", store.in_flight());
        }
        let calls = store.take_calls();
        let count = |method: &str| calls.iter().filter(|call| **call == method).count();
        assert_eq!((count("get"), count("remake")), (probes, remakes), "{name}");
        assert_eq!(calls.len(), probes + remakes, "{name}");
        let failed = world.manager.snapshot().counters.store_failures;
        assert!((failed - failures).abs() < 0.5, "{name}: {failed}");
        uses_store_again(&store, &mut world, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_gets_the_token_of_another_one_while_the_server_is_down() {
    let store = Arc::default();
    let mut a = replica("a", &store);
    a.any().await.unwrap();
    pass(1).await;
    let mut b = World::with(sharing(), 20, |_, _| reset()).share(&store);
    pass(280_000).await;
    assert_eq!(b.any().await.unwrap(), "a-1");
    let remaining = b
        .manager
        .snapshot()
        .token
        .map(|token| token.hard.saturating_sub(token.age));
    assert!(remaining.is_some_and(|remaining| remaining <= ms(17_000)), "{remaining:?}");
    pass(20_000).await;
    b.any().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_a_miss_that_the_next_token_replaces() {
    let store = Arc::<SimulatedStore>::default();
    let (mut a, mut b) = (replica("a", &store), replica("b", &store));
    a.any().await.unwrap();
    pass(1).await;
    for (value, _) in store.entries.lock().values_mut() {
        value.pop();
    }
    assert_eq!(b.any().await.unwrap(), "b-1");
    pass(1).await;
    assert_eq!(replica("c", &store).any().await.unwrap(), "b-1");
    assert_eq!(b.warnings(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_receives_the_last_of_the_values_that_wait() {
    let store = Arc::<SimulatedStore>::default();
    store.set(Condition::Slow(100));
    let mut a = replica("a", &store);
    for _ in 0..20 {
        forced(&mut a).await;
    }
    pass(300).await;
    // A request takes 20 ms, so about five tokens arrive during a write.
    assert_eq!(store.take_calls(), ["set"; 5]);
    store.set(Condition::Works);
    assert_eq!(replica("b", &store).any().await.unwrap(), "a-20");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_store_counts_towards_the_time_limit() {
    let store = Arc::<SimulatedStore>::default();
    store.set(Condition::Hangs);
    let config = Config {
        request_timeout: ms(300),
        ..sharing()
    };
    let mut world = World::with(config, 10_000, |_, _| token_answer(300)).share(&store);
    let start = world.now();
    world.any().await.unwrap_err();
    assert_eq!(world.since(start), ms(300));
    assert_eq!(store.calls.lock().len(), 1);
    assert_eq!(store.remakes.load(Ordering::SeqCst), 0);
}
