//! Reads the options from JavaScript into the named values that `manager::options` parses.

use std::ptr;
use std::sync::Arc;

use napi::bindgen_prelude::{Array, Either, FromNapiValue, JsObjectValue, Object, Unknown};
use napi::{JsValue, Result, ValueType, check_status, sys};
use napi_derive::napi;
use zeroize::Zeroizing;

use super::values::FailureData;

use manager::config::{
    self, Config, Credential, CredentialConfig, CredentialFiles, PemSource, ProxyOption,
};
use manager::error::{Error, ErrorKind};
use manager::options::{self, Faults, Given, LOGGER_METHODS, STORE_METHODS};
use oauth::ClientAuthentication;
use transport::{
    HttpTransport, PemCertificates, ProxySettings, ProxyVariable, ProxyVariables, TrustSettings,
};

/// Parsed and checked options.
pub(super) struct Parsed {
    pub(super) config: Config,
    /// The native transport; `None` if JavaScript sends the requests.
    pub(super) transport: Option<HttpTransport>,
    /// The log lines to write immediately.
    pub(super) warnings: Vec<String>,
}

/// The environment variables that affect the transport.
#[napi(object, object_to_js = false)]
pub struct Environment {
    /// Whether `NODE_TLS_REJECT_UNAUTHORIZED` leaves certificate verification on.
    pub verifies_certificates: bool,
    /// `https_proxy` or `HTTPS_PROXY`, whichever is set.
    pub https_proxy: Option<Variable>,
    /// `http_proxy` or `HTTP_PROXY`, whichever is set.
    pub http_proxy: Option<Variable>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
}

/// An environment variable.
#[napi(object, object_to_js = false)]
pub struct Variable {
    /// The name as the user wrote it.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The failure for unreadable options: the user's code, such as a getter, threw an exception.
#[napi(object, object_from_js = false)]
pub struct Unreadable<'env> {
    /// The error's code.
    pub code: &'static str,
    /// The error's message.
    pub message: String,
    /// Whether a retry may succeed: always false.
    pub retryable: bool,
    /// The thrown value.
    pub cause: Unknown<'env>,
}

/// Why the addon refuses options.
pub(super) enum Refusal<'env> {
    /// The options are wrong. The error names every fault.
    Wrong(Error),
    /// The options are unreadable.
    Unreadable(Unreadable<'env>),
}

impl<'env> Refusal<'env> {
    /// Takes the pending exception of the user's code, so that it crosses the boundary as data. The
    /// status of the N-API call that ran this code does not identify the exception: a getter that
    /// throws yields a generic failure.
    fn unreadable(env: sys::napi_env, option: Option<&str>) -> Result<Option<Self>> {
        let mut is_pending = false;
        let mut exception = ptr::null_mut();
        // SAFETY: the environment belongs to the options, which are arguments of this call.
        check_status!(unsafe { sys::napi_is_exception_pending(env, &raw mut is_pending) })?;
        if !is_pending {
            return Ok(None);
        }
        // SAFETY: the environment is the same as above.
        check_status!(unsafe { sys::napi_get_and_clear_last_exception(env, &raw mut exception) })?;
        Ok(Some(Self::Unreadable(Unreadable {
            code: ErrorKind::Config.code(),
            message: match option {
                Some(option) => format!(
                    "invalid options: {}: the manager cannot read this option; see cause",
                    option.escape_debug()
                ),
                None => "invalid options: the manager cannot read an option; see cause".to_owned(),
            },
            retryable: false,
            // SAFETY: the exception is a value of this environment.
            cause: unsafe { Unknown::from_raw_unchecked(env, exception) },
        })))
    }

    /// Converts the refusal to data for JavaScript.
    pub(super) fn into_data(self) -> Either<FailureData, Unreadable<'env>> {
        match self {
            Self::Wrong(error) => Either::A(FailureData::new(&error, None)),
            Self::Unreadable(unreadable) => Either::B(unreadable),
        }
    }
}

/// Parses the options. A napi error is a bug in this package, never the user's mistake.
pub(super) fn parse<'env>(
    options: &Unknown<'env>,
    environment: Environment,
) -> Result<std::result::Result<Parsed, Refusal<'env>>> {
    let mut faults = Faults::default();
    let mut option = None;
    let given = match read(options, &mut |name| option = Some(name.to_owned())) {
        Ok(Given::Record(given)) => given,
        Ok(_) => {
            faults.push("options", "expected an object");
            Vec::new()
        }
        Err(error) => {
            return match Refusal::unreadable(options.value().env, option.as_deref())? {
                Some(refusal) => Ok(Err(refusal)),
                None => Err(error),
            };
        }
    };
    let (config, transport) = options::parse(given, &mut faults);
    let native = !transport.token_fetch;
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
        && let CredentialConfig::Given(Credential::Identity(identity)) = &config.credential
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
    let proxies = proxies(transport.proxy, environment);
    if let Some(config) = &config
        && config.grant.authentication == ClientAuthentication::TlsClientAuth
        && let Ok(Some(proxy)) = proxies.proxy_for(config.target.url())
        && proxy.is_https()
    {
        let certificate = match &config.credential {
            CredentialConfig::Files(CredentialFiles::Identity {
                certificate: PemSource::File(_),
                ..
            }) => "clientCertificateFile",
            _ => "clientCertificate",
        };
        faults.push(
            certificate,
            &format!(
                "this option does not work with an https proxy ({proxy_option}), because the proxy \
                 would receive the certificate; use an http proxy, or set tokenFetch and configure \
                 the function with the certificate and the proxy"
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
                transport: native.then(|| HttpTransport::new(trust).through(proxies)),
                warnings,
            })
        }
        (Some(error), _) => Err(Refusal::Wrong(error)),
        (None, None) => Err(Refusal::Wrong(Error::internal())),
    })
}

/// Checks a resource that the user passed to `withResource`. Returns `None` if it is valid.
pub(super) fn check_resource<'env>(resource: &Unknown<'env>) -> Result<Option<Refusal<'env>>> {
    let mut faults = Faults::default();
    match read(resource, &mut |_| {}) {
        Ok(given) => options::check_resource(given, &mut faults),
        Err(error) => {
            return match Refusal::unreadable(resource.value().env, Some("resource"))? {
                Some(refusal) => Ok(Some(refusal)),
                None => Err(error),
            };
        }
    }
    Ok(faults.into_error().map(Refusal::Wrong))
}

fn proxies(option: ProxyOption, environment: Environment) -> ProxySettings {
    let variable = |variable: Option<Variable>| {
        let variable = variable.map(|Variable { name, value }| ProxyVariable {
            name,
            value: Zeroizing::new(value),
        });
        variable.unwrap_or_default()
    };
    match option {
        ProxyOption::Off => ProxySettings::default(),
        ProxyOption::Url(url) => ProxySettings::explicit(url),
        ProxyOption::Environment => ProxySettings::from_environment(&ProxyVariables {
            https: variable(environment.https_proxy),
            http: variable(environment.http_proxy),
            no_proxy: environment.no_proxy.unwrap_or_default(),
        }),
    }
}

/// The deepest nesting of options: an object of objects or arrays.
const DEPTH: u8 = 2;

/// Reads a value, including the members of an object or array. Calls `begin` before it reads each
/// member of the value itself.
fn read(value: &Unknown<'_>, begin: &mut dyn FnMut(&str)) -> Result<Given> {
    read_to(value, DEPTH, begin)
}

fn read_to(value: &Unknown<'_>, depth: u8, begin: &mut dyn FnMut(&str)) -> Result<Given> {
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
            read_record(&take(value)?, depth, begin)?
        }
        ValueType::Object => Given::Other("an object that is not a plain object"),
        _ => Given::Other("an unknown value"),
    })
}

fn take<T: FromNapiValue>(value: &Unknown<'_>) -> Result<T> {
    let raw = value.value();
    // SAFETY: the value and its environment are arguments of this call and still alive.
    unsafe { T::from_napi_value(raw.env, raw.value) }
}

/// Whether the object is plain: unlike a map or a date, it has its whole content in its own
/// members.
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
            items.push(item.map_or(Ok(Given::Other("undefined")), |item| {
                read_to(&item, depth, &mut |_| {})
            })?);
        }
    }
    Ok(Given::List(items))
}

fn read_record(object: &Object<'_>, depth: u8, begin: &mut dyn FnMut(&str)) -> Result<Given> {
    let mut members = Vec::new();
    if let Some(depth) = depth.checked_sub(1) {
        for name in Object::keys(object)? {
            // `keys` also returns inherited names.
            if !object.has_own_property(&name)? {
                continue;
            }
            begin(&name);
            let value: Unknown<'_> = object.get_named_property_unchecked(&name)?;
            match value.get_type()? {
                ValueType::Undefined => {}
                // The methods of a logger and of a store may be on the prototype.
                ValueType::Object if name == "logger" => {
                    members.push((name, read_methods(&take(&value)?, LOGGER_METHODS)?));
                }
                ValueType::Object if name == "store" => {
                    members.push((name, read_methods(&take(&value)?, STORE_METHODS)?));
                }
                _ => {
                    let value = read_to(&value, depth, &mut |_| {})?;
                    members.push((name, value));
                }
            }
        }
    }
    Ok(Given::Record(members))
}

fn read_methods(object: &Object<'_>, names: [&str; 4]) -> Result<Given> {
    let mut methods = Vec::new();
    for name in names {
        let method: Unknown<'_> = object.get_named_property_unchecked(name)?;
        methods.push((name.to_owned(), read_to(&method, 0, &mut |_| {})?));
    }
    Ok(Given::Record(methods))
}
