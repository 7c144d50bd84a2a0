//! Options as JavaScript gives them, turned into named values for `manager::config`.

use napi::bindgen_prelude::{Array, FromNapiValue, JsObjectValue, Object, Unknown};
use napi::{JsValue, Result, ValueType};
use napi_derive::napi;
use zeroize::Zeroizing;

use std::sync::Arc;

use crate::manager::config::{self, Config, Credential, Material, ProxyOption};
use crate::manager::error::Error;
use crate::manager::options::{self, Faults, Given, LOGGER_METHODS};
use crate::transport::{
    HttpTransport, PemCertificates, ProxySettings, ProxyUrl, ProxyVariables, TrustSettings,
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
}

/// Parses the options; the error names every fault.
pub(super) fn parse(
    options: &Unknown<'_>,
    environment: Environment,
) -> Result<std::result::Result<Parsed, Error>> {
    let mut faults = Faults::default();
    let given = if let Given::Record(given) = read(options)? {
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
    let (proxies, unusable) = proxies(transport.proxy, environment);
    let trust = TrustSettings {
        extra,
        file: transport.ca_file,
        skip_verify,
    };
    Ok(match (faults.into_error(), config) {
        (None, Some(config)) => {
            let warnings = config::warnings(&config, skip_verify, &unusable);
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

fn proxies(option: ProxyOption, environment: Environment) -> (ProxySettings, Vec<&'static str>) {
    let url = |value: Option<String>| {
        let value = Zeroizing::new(value.unwrap_or_default());
        ProxyUrl::with_scheme(&value)
    };
    match option {
        ProxyOption::Off => Default::default(),
        ProxyOption::Url(url) => (ProxySettings::explicit(url), Vec::new()),
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

fn read_logger(logger: &Object<'_>) -> Result<Given> {
    let mut methods = Vec::new();
    for name in LOGGER_METHODS {
        let method: Unknown<'_> = logger.get_named_property_unchecked(name)?;
        methods.push((name.to_owned(), read_to(&method, 0)?));
    }
    Ok(Given::Record(methods))
}
