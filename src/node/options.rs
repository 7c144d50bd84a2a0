//! Options as JavaScript gives them, turned into named values for `manager::config`.

use napi::bindgen_prelude::{Array, FromNapiValue, Function, JsObjectValue, Object, Unknown};
use napi::{Env, JsValue, Result, ValueType};
use napi_derive::napi;
use zeroize::Zeroizing;

use std::sync::Arc;

use crate::manager::config::{self, Config, Credential, Material, ProxyOption};
use crate::manager::error::Error;
use crate::manager::options::{self, Faults, Given, LOGGER_METHODS};
use crate::oauth::ClientAuthentication;
use crate::transport::{
    HttpTransport, PemCertificates, ProxySettings, ProxyUrl, ProxyVariables, TrustSettings,
    set_extra_ca_certs,
};

/// Options that need no further check.
pub(super) struct Parsed {
    pub(super) config: Config,
    pub(super) transport: HttpTransport,
    /// What to say in the log at once.
    pub(super) warnings: Vec<String>,
}

/// What the environment of the process says, as far as it matters here.
#[napi(object, object_to_js = false)]
pub struct Environment {
    /// `NODE_TLS_REJECT_UNAUTHORIZED` does not say otherwise.
    pub verifies_certificates: bool,
    /// `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// `NODE_EXTRA_CA_CERTS` when the package was loaded.
    pub extra_ca_certs: Option<String>,
}

/// Parses the options; the error names every fault.
pub(super) fn parse(
    options: &Unknown<'_>,
    mut environment: Environment,
) -> Result<std::result::Result<Parsed, Error>> {
    set_extra_ca_certs(environment.extra_ca_certs.take().unwrap_or_default().into());
    let mut faults = Faults::default();
    let env = Env::from_raw(options.value().env);
    let given = if let Given::Record(mut given) = read(options)? {
        for (name, value) in &mut given {
            urls_to_ascii(env, name, value);
        }

        given
    } else {
        faults.push("options", "expected an object");
        Vec::new()
    };
    let (config, transport) = options::parse(given, &mut faults);
    let extra = transport
        .ca
        .and_then(|pem| match PemCertificates::parse(pem.as_bytes()) {
            Ok(certificates) => Some(Arc::new(certificates)),
            Err(fault) => {
                faults.push("ca", &fault.to_string());
                None
            }
        });
    if let Some(config) = &config
        && let Credential::Given(Material::Identity(identity)) = &config.credential
        && let Err(fault) = identity.check()
    {
        let (option, detail) = fault.describe();
        faults.push(option, &detail);
    }
    let skip_verify = transport.skip_tls_verify || !environment.verifies_certificates;
    let proxy_option = match transport.proxy {
        ProxyOption::Url(_) => "proxy",
        _ => "HTTPS_PROXY",
    };
    let proxies = proxies(transport.proxy, environment, env);
    if let Some(config) = &config
        && config.grant.authentication == ClientAuthentication::TlsClientAuth
        && let Ok(Some(proxy)) = proxies.proxy_for(config.target.url())
        && proxy.is_https()
    {
        faults.push(
            "clientCertificate",
            &format!(
                "it cannot be used together with an https proxy ({proxy_option}), which would be \
                 shown the certificate; use an http proxy"
            ),
        );
    }
    let trust = TrustSettings {
        extra,
        file: transport.ca_file,
        skip_verify,
    };
    Ok(match (faults.into_error(), config) {
        (None, Some(config)) => {
            let warnings = config::warnings(&config, skip_verify);
            Ok(Parsed {
                config,
                transport: HttpTransport::new(trust).through(proxies),
                warnings,
            })
        }
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::internal()),
    })
}

fn proxies(option: ProxyOption, environment: Environment, env: Env) -> ProxySettings {
    let url = |value: Option<String>| {
        let value = Zeroizing::new(value.unwrap_or_default());
        let mut url = ProxyUrl::with_scheme(&value);
        to_ascii(env, &mut url);
        url
    };
    match option {
        ProxyOption::Off => ProxySettings::default(),
        ProxyOption::Url(url) => ProxySettings::explicit(url),
        ProxyOption::Environment => ProxySettings::from_environment(&ProxyVariables {
            https: url(environment.https_proxy),
            http: url(environment.http_proxy),
            exempt: environment.no_proxy.unwrap_or_default(),
        }),
    }
}

/// The options are an object of objects and arrays at most.
const DEPTH: u8 = 2;

/// Reads a value, an object's and an array's members with it.
fn read(value: &Unknown<'_>) -> Result<Given> {
    read_to(value, DEPTH)
}

fn read_to(value: &Unknown<'_>, depth: u8) -> Result<Given> {
    Ok(match value.get_type()? {
        ValueType::String => Given::Text(Zeroizing::new(take::<String>(value)?)),
        ValueType::Number => Given::Number(take(value)?),
        ValueType::Boolean => Given::Flag(take(value)?),
        ValueType::Function => Given::Function,
        ValueType::Null => Given::Other("null"),
        ValueType::Undefined => Given::Other("undefined"),
        ValueType::Symbol => Given::Other("a symbol"),
        ValueType::BigInt => Given::Other("a bigint"),
        ValueType::Object if value.is_array()? => read_list(&take(value)?, depth)?,
        ValueType::Object if depth == DEPTH || is_plain(&take(value)?)? => {
            read_record(&take(value)?, depth)?
        }
        ValueType::Object => Given::Other("an object that is not a plain one"),
        _ => Given::Other("an unknown value"),
    })
}

fn take<T: FromNapiValue>(value: &Unknown<'_>) -> Result<T> {
    let raw = value.value();
    // SAFETY: the value and its environment were handed to this call and are still alive.
    unsafe { T::from_napi_value(raw.env, raw.value) }
}

/// An object whose own members are all that it holds: a map's or a date's are elsewhere.
fn is_plain(object: &Object<'_>) -> Result<bool> {
    let constructor: Unknown<'_> = object.get_named_property_unchecked("constructor")?;
    if constructor.get_type()? != ValueType::Function {
        return Ok(true);
    }
    let name: Unknown<'_> =
        take::<Object<'_>>(&constructor)?.get_named_property_unchecked("name")?;
    Ok(name.get_type()? == ValueType::String && take::<String>(&name)? == "Object")
}

fn read_list(list: &Array<'_>, depth: u8) -> Result<Given> {
    let mut items = Vec::new();
    if let Some(depth) = depth.checked_sub(1) {
        for index in 0..list.len() {
            let item = list.get::<Unknown<'_>>(index)?;
            items.push(item.map_or(Ok(Given::Other("undefined")), |item| read_to(&item, depth))?);
        }
    }
    Ok(Given::List(items))
}

fn read_record(object: &Object<'_>, depth: u8) -> Result<Given> {
    let mut members = Vec::new();
    if let Some(depth) = depth.checked_sub(1) {
        for name in Object::keys(object)? {
            // The keys are inherited ones as well.
            if !object.has_own_property(&name)? {
                continue;
            }
            let value: Unknown<'_> = object.get_named_property_unchecked(&name)?;
            match value.get_type()? {
                ValueType::Undefined => {}
                // Its methods may stand on its prototype.
                ValueType::Object if name == "logger" => {
                    members.push((name, read_logger(&take(&value)?)?));
                }
                _ => members.push((name, read_to(&value, depth)?)),
            }
        }
    }
    Ok(Given::Record(members))
}

/// The options that are URLs.
fn urls_to_ascii(env: Env, name: &str, value: &mut Given) {
    match (name, value) {
        ("tokenEndpoint" | "issuer" | "proxy", Given::Text(url)) => to_ascii(env, url),
        ("resource", Given::Record(members)) => {
            for (name, value) in members {
                if let ("baseUrl", Given::Text(url)) = (name.as_str(), value) {
                    to_ascii(env, url);
                }
            }
        }
        _ => {}
    }
}

/// Has Node's own `URL` write a host in Punycode: the tables for it would take 130 KB here. What is
/// no URL stays as it is.
fn to_ascii(env: Env, url: &mut Zeroizing<String>) {
    if (!url.is_ascii() || url.contains('%'))
        && let Some(href) = href(env, url)
    {
        *url = href;
    }
}

fn href(env: Env, url: &str) -> Option<Zeroizing<String>> {
    let class: Function<'_, &str, Unknown<'_>> =
        env.get_global().ok()?.get_named_property("URL").ok()?;
    let can_parse: Function<'_, &str, bool> = class.get_named_property("canParse").ok()?;
    if !can_parse.call(url).ok()? {
        return None;
    }
    let parsed: Object<'_> = take(&class.new_instance(url).ok()?).ok()?;
    parsed.get_named_property("href").ok().map(Zeroizing::new)
}

fn read_logger(logger: &Object<'_>) -> Result<Given> {
    let mut methods = Vec::new();
    for name in LOGGER_METHODS {
        let method: Unknown<'_> = logger.get_named_property_unchecked(name)?;
        methods.push((name.to_owned(), read_to(&method, 0)?));
    }
    Ok(Given::Record(methods))
}
